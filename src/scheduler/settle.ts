import type { WaiterId } from '#kernel/ids';
import { formatBytes } from '#kernel/quantities';
import { chooseVictims, isEvictable, isIdle, mayYield, residentUntil } from './eviction.ts';
import { byTurn, claims, headOf } from './order.ts';
import type { Claim } from './order.ts';
import { chargedOf, isWanted, reservationOf, sum } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Effect, Reason, Refusal } from './types.ts';

/**
 * Does whatever the state calls for now. In this order:
 * 1. waiters whose deadline passed are refused;
 * 2. backoff and quarantine that are over end;
 * 3. charged bytes above the limit are brought down by idle units;
 * 4. units that were idle long enough go down a rung;
 * 5. memory is handed to the claims in their turn, idle units making room;
 * 6. ready units serve their waiters, but for those that stand in the way of an aged claim.
 */
export function settle(state: State, now: number): Effect[] {
  const effects: Effect[] = [];
  expire(state, now, effects);
  ripen(state, now);
  if (!state.closing) {
    relieve(state, now, effects);
    rest(state, now, effects);
    const draining = admit(state, now, effects);
    serve(state, now, draining, effects);
  }
  return effects;
}

export function refuse(unit: Unit, refusal: Refusal, effects: Effect[]): void {
  for (const waiter of unit.waiters.keys()) effects.push({ kind: 'refuse', waiter, unit: unit.spec.id, refusal });
  unit.waiters.clear();
}

/** Begins a stop. The bytes stay charged until the instance is gone. */
export function stop(unit: Unit, reason: Reason, now: number, effects: Effect[]): void {
  unit.phase = { kind: 'stopping', since: now, bytes: 'bytes' in unit.phase ? unit.phase.bytes : 0 };
  unit.reason = reason;
  unit.stopWanted = null;
  effects.push({ kind: 'stop', unit: unit.spec.id, reason });
}

function expire(state: State, now: number, effects: Effect[]): void {
  for (const unit of state.units.values()) {
    for (const waiter of unit.waiters.values()) {
      if (waiter.deadline > now) continue;
      unit.waiters.delete(waiter.id);
      const waited = Math.round((now - waiter.since) / 1000);
      const message = `${unit.spec.id} was not ready within ${waited} s.`;
      effects.push({ kind: 'refuse', waiter: waiter.id, unit: unit.spec.id, refusal: { code: 'TIMEOUT', message } });
    }
  }
}

function ripen(state: State, now: number): void {
  for (const unit of state.units.values()) {
    const { phase } = unit;
    if ((phase.kind === 'backoff' || phase.kind === 'quarantined') && phase.until <= now) unit.phase = { kind: 'cold' };
  }
}

function relieve(state: State, now: number, effects: Effect[]): void {
  const over = sum(state, chargedOf) - incoming(state) - state.limitBytes;
  if (over <= 0) return;
  const idle = [...state.units.values()].filter((unit) => isEvictable(unit, state, now));
  const reason: Reason = { code: 'relief', chargedBytes: sum(state, chargedOf), limitBytes: state.limitBytes };
  for (const unit of chooseVictims(over, idle) ?? idle) stop(unit, reason, now, effects);
}

/** Bytes that come back by themselves, from units that are stopping. */
const incoming = (state: State): number => sum(state, (unit) => (unit.phase.kind === 'stopping' ? chargedOf(unit) : 0));

function rest(state: State, now: number, effects: Effect[]): void {
  for (const unit of state.units.values()) {
    if (unit.leases.size > 0 || (unit.phase.kind !== 'ready' && unit.phase.kind !== 'frozen')) continue;
    const leaving: Reason | null = unit.removed ? { code: 'removed' } : unit.stopWanted;
    if (leaving) stop(unit, leaving, now, effects);
    else if (now >= restsAt(unit)) descend(unit, now, effects);
  }
}

function descend(unit: Unit, now: number, effects: Effect[]): void {
  if (unit.phase.kind !== 'ready' || unit.phase.idleSince === null) return;
  unit.reason = { code: 'idle', ms: now - unit.phase.idleSince };
  if (unit.spec.idleRung === 'cold') return stop(unit, unit.reason, now, effects);
  unit.phase = { kind: 'freezing', since: now, bytes: unit.phase.bytes };
  effects.push({ kind: 'freeze', unit: unit.spec.id });
}

/** When an idle unit goes down a rung by itself; never while it is wanted. */
function restsAt(unit: Unit): number {
  if (unit.phase.kind !== 'ready' || unit.phase.idleSince === null) return Infinity;
  if (!isIdle(unit) || isWanted(unit)) return Infinity;
  return unit.phase.idleSince + unit.spec.idleAfterMs;
}

/** The memory that is still to hand out in this round. Taken from what is free first, then from what is coming. */
interface Pool {
  free: number;
  incoming: number;
}

const left = (pool: Pool): number => pool.free + pool.incoming;

function take(pool: Pool, bytes: number): void {
  const now = Math.min(pool.free, bytes);
  pool.free -= now;
  pool.incoming = Math.max(0, pool.incoming - (bytes - now));
}

/**
 * Hands memory to the claims in their turn; returns the busy units that an aged claim waits for. For each claim:
 * 1. what cannot fit even with everything else gone is refused, with the bytes on both sides;
 * 2. what fits the free bytes starts;
 * 3. what fits once the units that are stopping are gone waits, and keeps those bytes to itself;
 * 4. what fits once idle units make room stops them, and waits as in 3;
 * 5. what only busy units stand in the way of waits. Until it has aged, smaller claims may use the bytes meanwhile;
 *    then nobody overtakes it, and those busy units take no new work until it had its turn.
 */
function admit(state: State, now: number, effects: Effect[]): ReadonlySet<Unit> {
  const draining = new Set<Unit>();
  const pool: Pool = { free: Math.max(0, state.limitBytes - sum(state, chargedOf)), incoming: incoming(state) };
  for (const claim of claims(state, now)) {
    const { unit } = claim;
    const need = reservationOf(unit);
    const refusal = neverFits(unit, need, state);
    if (refusal) {
      refuse(unit, refusal, effects); // 1
      unit.intent = false;
      unit.reason = { code: 'failed', message: refusal.message };
    } else if (need <= pool.free) {
      begin(claim, need, now, effects); // 2
      take(pool, need);
    } else if (need <= left(pool)) {
      take(pool, need); // 3
    } else if (makeRoom(claim, need, pool, state, now, effects)) {
      take(pool, need); // 4
    } else if (claim.aged) {
      for (const busy of inTheWay(claim, need - left(pool), state, now)) draining.add(busy); // 5
      take(pool, left(pool));
    }
  }
  return draining;
}

function neverFits(unit: Unit, need: number, state: State): Refusal | null {
  const others = sum(state, (other) => (other !== unit && !mayYield(other) ? fixedBytes(other) : 0));
  if (need <= state.limitBytes - others) return null;
  const held = others > 0 ? `, of which ${formatBytes(others)} are held by what is pinned or always on` : '';
  return {
    code: 'NO_MEMORY',
    message:
      `${unit.spec.id} needs ${formatBytes(need)} (${need} bytes) and the limit is ` +
      `${formatBytes(state.limitBytes)} (${state.limitBytes} bytes)${held}. ` +
      'Raise memory.limit, give it a smaller context, or choose a smaller one.',
    details: { neededBytes: need, limitBytes: state.limitBytes, heldBytes: others },
  };
}

/** What a unit that never yields holds for good. One that is stopping or cold holds nothing for good. */
const fixedBytes = (unit: Unit): number => (unit.phase.kind === 'stopping' ? 0 : chargedOf(unit));

function begin(claim: Claim, bytes: number, now: number, effects: Effect[]): void {
  const { unit, head } = claim;
  unit.phase = { kind: 'starting', since: now, bytes };
  unit.reason = head ? { code: 'asked', by: head.principal } : wantedBecause(unit);
  unit.measuredBytes = null;
  effects.push({ kind: 'start', unit: unit.spec.id, bytes });
}

const wantedBecause = (unit: Unit): Reason => ({
  code: 'wanted',
  because: unit.spec.tier === 'core' ? 'core' : unit.pinned ? 'pinned' : 'started',
});

function makeRoom(claim: Claim, need: number, pool: Pool, state: State, now: number, effects: Effect[]): boolean {
  const idle = [...state.units.values()].filter(
    (unit) =>
      isEvictable(unit, state, now) || (claim.aged && givesWay(unit, claim, state, now) && unit.leases.size === 0),
  );
  const victims = chooseVictims(need - left(pool), idle);
  if (!victims) return false;
  for (const victim of victims) {
    stop(victim, { code: 'evicted', for: claim.unit.spec.id, bytes: chargedOf(victim) }, now, effects);
    pool.incoming += chargedOf(victim);
  }
  return true;
}

function inTheWay(claim: Claim, bytes: number, state: State, now: number): readonly Unit[] {
  const others = [...state.units.values()].filter(
    (unit) => isEvictable(unit, state, now) || givesWay(unit, claim, state, now) || isUnderWay(unit),
  );
  return chooseVictims(bytes, others.filter(mayYield)) ?? [];
}

/** A ready or frozen unit all of whose waiters have their turn after the claim's: it may be drained for it. */
function givesWay(unit: Unit, claim: Claim, state: State, now: number): boolean {
  if (!mayYield(unit) || !claim.head) return false;
  if (unit.phase.kind !== 'frozen' && (unit.phase.kind !== 'ready' || now < residentUntil(unit, state))) return false;
  const head = headOf(unit, state, now);
  return head === undefined || byTurn(state, now)(claim.head, head) < 0;
}

/** On its way to ready or frozen, or within its residency: it can make room later, so that it is worth waiting for. */
const isUnderWay = (unit: Unit): boolean => ['starting', 'freezing', 'thawing'].includes(unit.phase.kind);

function serve(state: State, now: number, draining: ReadonlySet<Unit>, effects: Effect[]): void {
  for (const unit of state.units.values()) {
    if (unit.waiters.size === 0 || draining.has(unit)) continue;
    if (unit.phase.kind === 'frozen') {
      unit.phase = { kind: 'thawing', since: now, bytes: unit.phase.bytes };
      effects.push({ kind: 'thaw', unit: unit.spec.id });
    } else if (unit.phase.kind === 'ready' && !unit.stopWanted) {
      while (unit.leases.size < unit.spec.slots) {
        const head = headOf(unit, state, now);
        if (!head) break;
        unit.waiters.delete(head.id);
        lease(unit, head.id, effects);
      }
    }
  }
}

export function lease(unit: Unit, waiter: WaiterId, effects: Effect[]): void {
  unit.leases.add(waiter);
  if (unit.phase.kind === 'ready') unit.phase.idleSince = null;
  effects.push({ kind: 'grant', waiter, unit: unit.spec.id });
}

/** When the state next calls for something although nothing happens. Infinity when it never does. */
export function nextWake(state: State, now: number): number {
  let at = Infinity;
  const consider = (time: number) => {
    if (time > now && time < at) at = time;
  };
  for (const unit of state.units.values()) {
    if (unit.phase.kind === 'backoff' || unit.phase.kind === 'quarantined') consider(unit.phase.until);
    consider(restsAt(unit));
    if (unit.phase.kind === 'ready') consider(residentUntil(unit, state));
    for (const waiter of unit.waiters.values()) {
      consider(waiter.deadline);
      consider(waiter.since + state.settings.ageingMs);
    }
  }
  return at;
}
