import { formatBytes } from '#kernel/quantities';
import { chooseVictims, isEvictable, isProtected, mayYield, residentUntil } from './eviction.ts';
import { byTurn, claims, headOf } from './order.ts';
import type { Claim } from './order.ts';
import { begin, refuse, stop } from './moves.ts';
import { chargedOf, incomingOf, reasonFor, reservationOf, sum } from './state.ts';
import type { Queued, State, Unit } from './state.ts';
import type { Effect, Refusal } from './types.ts';

/** The memory that is still to hand out in this round. Taken from what is free first, then from what is coming. */
interface Pool {
  /** Below zero while more is charged than the limit allows: what comes in fills that first. */
  free: number;
  /** Bytes of units that are stopping. */
  incoming: number;
  /** The units that may be evicted, once somebody asked. */
  idle: readonly Unit[] | null;
}

const left = (pool: Pool): number => pool.free + pool.incoming;

function take(pool: Pool, bytes: number): void {
  const now = Math.min(Math.max(0, pool.free), bytes);
  pool.free -= now;
  pool.incoming -= bytes - now;
}

/**
 * Hands memory to the claims in their turn; returns the aged claim that has to wait for busy units. For each claim:
 * 1. what cannot fit even with everything else gone is refused, with the bytes on both sides;
 * 2. what fits the free bytes starts;
 * 3. what fits once the units that are stopping are gone waits, and keeps those bytes to itself;
 * 4. what fits once idle units make room stops them, and waits as in 3;
 * 5. what only busy units stand in the way of waits. Until it has aged, smaller claims may use the bytes meanwhile;
 *    then nobody overtakes it: nothing more is handed out or evicted for those behind it, and the units whose bytes it
 *    waits for take no new work until it had its turn (`inTheWay`).
 */
export function admit(state: State, now: number, effects: Effect[]): Blocked | null {
  const turn = claims(state, now);
  if (turn.length === 0) return null;
  const incoming = sum(state, incomingOf);
  const pool: Pool = { free: state.limitBytes - sum(state, chargedOf), incoming, idle: null };
  let fixed = sum(state, fixedOf);
  let blocked: Blocked | null = null;
  for (const claim of turn) {
    const need = reservationOf(claim.unit);
    if (turnAway(claim.unit, fixed, state, effects)) continue; // 1
    if (need <= Math.max(0, pool.free)) {
      start(claim, need, now, effects); // 2
      fixed += fixedOf(claim.unit);
      take(pool, need);
    } else if (need <= left(pool)) {
      take(pool, need); // 3
    } else if (blocked === null && makeRoom(claim, need, pool, state, now, effects)) {
      take(pool, need); // 4
    } else if (blocked === null && claim.aged) {
      blocked = { claim, bytes: need - left(pool) }; // 5
      take(pool, Math.max(0, left(pool)));
    }
  }
  // A pinned unit that started after someone's turn may hold for good what that one waits for.
  for (const { unit } of turn) if (unit.phase.kind === 'cold') turnAway(unit, fixed, state, effects);
  return blocked;
}

/** The first aged claim that busy units stand in the way of, and the bytes it lacks. */
export interface Blocked {
  readonly claim: Claim;
  readonly bytes: number;
}

/** Whether the waiter has its turn before the claim. Nobody has before a core unit. */
export const precedes = (waiter: Queued, claim: Claim, state: State, now: number): boolean =>
  claim.unit.spec.tier !== 'core' && (!claim.head || byTurn(state, now)(waiter, claim.head) < 0);

/** What a unit that never yields holds for good. One that is stopping or cold holds nothing for good. */
const fixedOf = (unit: Unit): number => (isProtected(unit) && unit.phase.kind !== 'stopping' ? chargedOf(unit) : 0);

function turnAway(unit: Unit, fixed: number, state: State, effects: Effect[]): boolean {
  const need = reservationOf(unit);
  if (need <= Math.max(0, state.limitBytes - fixed)) return false;
  const refusal = tooLarge(unit, need, fixed, state);
  refuse(unit, refusal, effects);
  unit.intent = false;
  unit.reason = { code: 'failed', message: refusal.message };
  return true;
}

function tooLarge(unit: Unit, need: number, fixed: number, state: State): Refusal {
  const held = fixed > 0 ? `, of which ${formatBytes(fixed)} are held by what is pinned or always on` : '';
  return {
    code: 'NO_MEMORY',
    message:
      `${unit.spec.id} needs ${formatBytes(need)} (${need} bytes) and the limit is ` +
      `${formatBytes(state.limitBytes)} (${state.limitBytes} bytes)${held}. ` +
      'Raise memory.limit, give it a smaller context, or choose a smaller one.',
    details: { neededBytes: need, limitBytes: state.limitBytes, heldBytes: fixed },
  };
}

function start({ unit, head }: Claim, bytes: number, now: number, effects: Effect[]): void {
  unit.reason = reasonFor(unit, head);
  begin(unit, bytes, now, effects);
}

function makeRoom(claim: Claim, need: number, pool: Pool, state: State, now: number, effects: Effect[]): boolean {
  const candidates = claim.aged ? unleased(claim, state, now) : idle(pool, state, now);
  const victims = chooseVictims(need - left(pool), candidates);
  if (!victims) return false;
  pool.idle = null;
  for (const victim of victims) {
    pool.incoming += chargedOf(victim);
    stop(victim, { code: 'evicted', for: claim.unit.spec.id, bytes: chargedOf(victim) }, now, effects);
  }
  return true;
}

/** Found once for all claims until one of them takes some: with many claims and many units, looking is what costs. */
const idle = (pool: Pool, state: State, now: number): readonly Unit[] =>
  (pool.idle ??= [...state.units.values()].filter((unit) => isEvictable(unit, state, now)));

/** For an aged claim also those make room whose waiters have their turn after it. */
const unleased = (claim: Claim, state: State, now: number): readonly Unit[] =>
  [...state.units.values()].filter((unit) => unit.leases.size === 0 && givesWay(unit, claim, state, now));

/**
 * Units that have to end their work for an aged claim: enough, and none to spare. Idle ones are among them, lest they
 * take up new work while the busy ones finish. None at all while even all of them would not do, as when one is in its
 * residency: then nothing is gained by keeping the others from work.
 */
export function inTheWay({ claim, bytes }: Blocked, state: State, now: number): readonly Unit[] {
  const others = [...state.units.values()].filter((unit) => givesWay(unit, claim, state, now));
  return chooseVictims(bytes, others) ?? [];
}

/** A ready or frozen unit past its residency, all of whose waiters have their turn after the claim's. */
function givesWay(unit: Unit, claim: Claim, state: State, now: number): boolean {
  if (!mayYield(unit)) return false;
  if (unit.phase.kind !== 'frozen' && (unit.phase.kind !== 'ready' || now < residentUntil(unit, state))) return false;
  const head = headOf(unit, state, now);
  return head === undefined || !precedes(head, claim, state, now);
}
