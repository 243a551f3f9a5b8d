import { admit, inTheWay, precedes } from './admit.ts';
import type { Blocked } from './admit.ts';
import { chooseVictims, isEvictable, isIdle, residentUntil } from './eviction.ts';
import { freeze, lease, stop, thaw } from './moves.ts';
import { agesAt, headOf } from './order.ts';
import { chargedOf, incomingOf, isWanted, reasonFor, sum } from './state.ts';
import type { Queued, State, Unit } from './state.ts';
import type { Effect, Reason } from './types.ts';

/**
 * Does whatever the state calls for now; doing it twice does no more than once. In this order:
 * 1. waiters whose deadline passed are refused;
 * 2. backoff and quarantine that are over end;
 * 3. units that are to stop do so once nothing works on them, and those idle for long enough go down a rung;
 * 4. charged bytes above the limit are brought down by idle units;
 * 5. memory is handed to the claims in their turn, idle units making room;
 * 6. ready units serve their waiters and frozen ones thaw for theirs, those who come before a blocked aged claim first;
 *    then the units that stand in its way take no more.
 * While the platform stops only 1, 2 and the asked-for stops of 3 are left.
 */
export function settle(state: State, now: number, effects: Effect[]): void {
  expire(state, now, effects);
  ripen(state, now);
  rest(state, now, effects);
  state.calm = false;
  if (state.closing) return;
  relieve(state, now, effects);
  const blocked = admit(state, now, effects);
  if (blocked) serveBefore(blocked, state, now, effects);
  const held = new Set(blocked ? inTheWay(blocked, state, now) : []);
  for (const unit of state.units.values()) if (!held.has(unit)) serve(unit, () => true, state, now, effects);
  state.calm = isCalm(state);
}

function isCalm(state: State): boolean {
  for (const unit of state.units.values()) {
    if (unit.phase.kind === 'cold' && (unit.waiters.size > 0 || isWanted(unit))) return false;
  }
  return sum(state, chargedOf) - sum(state, incomingOf) <= state.limitBytes;
}

/** A start whose waiters all timed out goes on: TIMEOUT invites them to ask again, and it may be ready by then. */
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

function rest(state: State, now: number, effects: Effect[]): void {
  for (const unit of state.units.values()) {
    const leaving = leavesFor(unit);
    if (leaving) stop(unit, leaving, now, effects);
    else if (!state.closing && now >= restsAt(unit)) descend(unit, now, effects);
  }
}

/** Why it is to stop now. Nobody waits for a removed unit's start to end; a freeze or a thaw ends soon by itself. */
function leavesFor(unit: Unit): Reason | null {
  const { kind } = unit.phase;
  if (unit.leases.size > 0) return null;
  if (unit.removed) return kind === 'ready' || kind === 'frozen' || kind === 'starting' ? { code: 'removed' } : null;
  return kind === 'ready' || kind === 'frozen' ? unit.stopWanted : null;
}

function descend(unit: Unit, now: number, effects: Effect[]): void {
  if (unit.phase.kind !== 'ready' || unit.phase.idleSince === null) return;
  const reason: Reason = { code: 'idle', ms: now - unit.phase.idleSince };
  if (unit.spec.idleRung === 'cold') stop(unit, reason, now, effects);
  else freeze(unit, reason, now, effects);
}

/** When an idle unit goes down a rung by itself; never while it is wanted. */
function restsAt(unit: Unit): number {
  if (unit.phase.kind !== 'ready' || unit.phase.idleSince === null) return Infinity;
  if (!isIdle(unit) || isWanted(unit)) return Infinity;
  return unit.phase.idleSince + unit.spec.idleAfterMs;
}

function relieve(state: State, now: number, effects: Effect[]): void {
  const charged = sum(state, chargedOf);
  const over = charged - sum(state, incomingOf) - state.limitBytes;
  if (over <= 0) return;
  const idle = [...state.units.values()].filter((unit) => isEvictable(unit, state, now));
  const reason: Reason = { code: 'relief', chargedBytes: charged, limitBytes: state.limitBytes };
  for (const unit of chooseVictims(over, idle) ?? idle) stop(unit, reason, now, effects);
}

/** Those whose turn is before the aged claim's go first: what stands in its way is what is busy after that. */
function serveBefore({ claim }: Blocked, state: State, now: number, effects: Effect[]): void {
  const may = (waiter: Queued) => precedes(waiter, claim, state, now);
  for (const unit of state.units.values()) if (unit.waiters.size > 0) serve(unit, may, state, now, effects);
}

function serve(unit: Unit, may: (waiter: Queued) => boolean, state: State, now: number, effects: Effect[]): void {
  const { kind } = unit.phase;
  if (kind === 'frozen') {
    const head = headOf(unit, state, now);
    if (head ? may(head) : isWanted(unit)) thaw(unit, reasonFor(unit, head), now, effects);
    return;
  }
  if (kind !== 'ready' || unit.stopWanted) return;
  while (unit.leases.size < unit.spec.slots) {
    const head = headOf(unit, state, now);
    if (!head || !may(head)) return;
    unit.waiters.delete(head.id);
    lease(unit, head.id, effects);
  }
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
      consider(agesAt(waiter, state));
    }
  }
  return at;
}
