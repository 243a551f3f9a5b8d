import { dropIfGone, restsAt, reviewedAt, touch, wakeDue } from './account.ts';
import { admit, inTheWay } from './admit.ts';
import type { Blocked } from './admit.ts';
import { freeze, stop, turnAwayHopeless } from './moves.ts';
import { prewarm } from './prewarm.ts';
import { patienceMs } from './patience.ts';
import { age, overdue } from './queue.ts';
import { relieve, yieldToPressure } from './relief.ts';
import { rungOf } from './rung.ts';
import { scale } from './scaling.ts';
import { serveAll } from './serve.ts';
import { isConnected, isIdle, isWanted, originalUnit } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Effect, Reason } from './types.ts';

/**
 * Does whatever the state calls for now; doing it twice does no more than once. It looks at the units that changed or
 * are due, in this order:
 * 1. waiters whose deadline passed are refused, and those who waited past the bound come to the front;
 * 2. backoff and quarantine that are over end;
 * 3. units that are to stop do so once nothing works on them, those idle for long enough go down a rung, and copies are
 *    asked for or let go;
 * 4. pressure, and charged bytes above a limit, are brought down by frozen and idle units (`relief.ts`);
 * 5. memory is handed to the claims in their turn, idle units making room;
 * 6. what will probably be asked for is brought up, in memory that nobody wants;
 * 7. ready units serve their waiters and frozen ones thaw for theirs (`serve.ts`); those that stand in the way of a
 *    blocked aged claim serve only who comes before it.
 * Where that changed what copies are asked for by, all of it is done once more (`concernsCopies`).
 * While the platform stops only 1, 2 and the asked-for stops of 3 are left.
 */
export function settle(state: State, now: number, effects: Effect[]): void {
  const [done, wasBlocked] = [effects.length, state.blocked !== null];
  wakeDue(state, now);
  const { touched } = state;
  for (const unit of touched) attend(unit, state, now, effects);
  if (state.closing) state.cores.waiting.clear();
  else {
    yieldToPressure(state, now, effects);
    relieve(state, now, effects);
    const blocked = state.stirred ? handOut(state, now, effects) : state.blocked;
    // A frozen unit whose waiters were refused for good can make room now.
    relieve(state, now, effects);
    prewarm(state, now, effects);
    // Serving a unit touches none but those that share its queue: nobody else comes in while this goes round.
    serveAll(touched, { state, blocked, before: false, now, effects });
    if (concernsCopies(state, effects.slice(done), wasBlocked)) return settle(state, now, effects);
  }
  for (const unit of touched) dropIfGone(state, unit);
  touched.clear();
  state.stirred = false;
}

/**
 * Whether any unit that has copies is to be attended to again: one of them was served, so that what the others claim for those
 * who wait is free again; one went to sleep, or begins to come up; or a blocked claim holds all copies back, or does no longer.
 */
function concernsCopies(state: State, effects: readonly Effect[], wasBlocked: boolean): boolean {
  const concerned = new Set<Unit>();
  for (const { unit: id } of effects) {
    const unit = state.units.get(id);
    if (unit) concerned.add(originalUnit(unit));
  }
  const all = (state.blocked !== null) === wasBlocked ? concerned : state.units.values();
  let any = false;
  for (const unit of all) {
    if (unit.copies.length === 0) continue;
    state.touched.add(unit);
    any = true;
  }
  return any;
}

function attend(unit: Unit, state: State, now: number, effects: Effect[]): void {
  if (unit.original === null) attendQueue(unit, state, now, effects);
  const { phase } = unit;
  if ((phase.kind === 'backoff' || phase.kind === 'quarantined') && phase.until <= now) {
    unit.phase = { kind: 'cold' };
    if (unit.original) again(unit.original, state);
  }
  rest(unit, state, now, effects);
  if (unit.copies.length > 0 && !state.closing) scaleCopies(unit, state, now);
  touch(state, unit);
}

/** Those that were attended to already are once more. */
function again(unit: Unit, { touched }: State): void {
  touched.delete(unit);
  touched.add(unit);
}

function scaleCopies(unit: Unit, state: State, now: number): void {
  // What a copy is worth that waits for memory changes with those who wait.
  if (unit.copies.some(({ booked }) => booked.claim)) state.stirred = true;
  for (const copy of scale(unit, state, now)) {
    again(copy, state);
    touch(state, copy);
  }
}

function attendQueue(unit: Unit, state: State, now: number, effects: Effect[]): void {
  expire(unit, state, now, effects);
  turnAwayHopeless(unit, state, now, effects);
  age(unit.queue, patienceMs(state), state.settings.ageingMs, now);
}

/** A start whose waiters all timed out goes on: TIMEOUT invites them to ask again, and it may be ready by then. */
function expire(unit: Unit, state: State, now: number, effects: Effect[]): void {
  for (const waiter of overdue(unit.queue, state.settings.ageingMs, now)) {
    const waited = Math.round((now - waiter.since) / 1000);
    const message = `${unit.spec.id} was not ready within ${waited} s.`;
    effects.push({ kind: 'refuse', waiter: waiter.id, unit: unit.spec.id, refusal: { code: 'TIMEOUT', message } });
  }
}

function rest(unit: Unit, state: State, now: number, effects: Effect[]): void {
  const leaving = leavesFor(unit);
  if (leaving) stop(unit, leaving, state, now, effects);
  else if (!state.closing && now >= restsAt(unit)) descend(unit, state, now, effects);
  else if (!state.closing && overstays(unit, state, now)) stop(unit, unit.reason, state, now, effects);
}

/** It was frozen for being idle, but only for what was open or to see what it keeps: it is not worth that. */
function overstays(unit: Unit, state: State, now: number): boolean {
  if (unit.phase.kind !== 'frozen' || unit.reason.code !== 'idle') return false;
  if (isConnected(unit) || !isIdle(unit) || isWanted(unit) || rungOf(unit, state) !== 'cold') return false;
  return unit.spec.idleRung === 'cold' || now >= reviewedAt(unit);
}

/** Why it is to stop now. Nobody waits for a removed unit's start to end; a freeze or a thaw ends soon by itself. */
function leavesFor(unit: Unit): Reason | null {
  const { kind } = unit.phase;
  if (unit.leases.size > 0) return null;
  if (unit.removed) return kind === 'ready' || kind === 'frozen' || kind === 'starting' ? { code: 'removed' } : null;
  return kind === 'ready' || kind === 'frozen' ? unit.stopWanted : null;
}

function descend(unit: Unit, state: State, now: number, effects: Effect[]): void {
  if (unit.phase.kind !== 'ready' || unit.phase.idleSince === null) return;
  const reason: Reason = { code: 'idle', ms: now - unit.phase.idleSince };
  if (rungOf(unit, state) === 'cold' && !isConnected(unit)) stop(unit, reason, state, now, effects);
  else freeze(unit, reason, state, now, effects);
}

/** Hands out memory, and keeps those from new work that stand in the way of who waited too long. */
function handOut(state: State, now: number, effects: Effect[]): Blocked | null {
  const blocked = state.claims.length > 0 ? admit(state, now, effects) : null;
  state.blocked = blocked;
  if (!blocked && state.held.size === 0) return null;
  const before = [...state.held];
  state.held.clear();
  // Those who come before the claim are served first: what is busy after that stands in its way.
  if (blocked) serveAll(state.awake, { state, blocked, before: true, now, effects });
  for (const unit of blocked ? inTheWay(blocked, state, now) : []) state.held.add(unit);
  for (const unit of before) if (!state.held.has(unit)) state.touched.add(unit);
  return blocked;
}
