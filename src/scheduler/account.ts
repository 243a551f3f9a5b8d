import { placeClaim } from './claims.ts';
import { bookThreads } from './cores.ts';
import { bookVram } from './devices.ts';
import { lookAhead } from './forecast.ts';
import { first, pop, push } from './heap.ts';
import { growsAt } from './load.ts';
import { chargedOf, fixedOf, idleAfterOf, incomingOf, isIdle, isProtected, isSpeculative, isWanted } from './state.ts';
import type { State, Unit } from './state.ts';

/**
 * What is derived from the units' lines, so that a decision needs no look at all of them: the sums, the claims, and when
 * a unit is to be looked at. Whoever changes a unit calls this afterwards; the tests hold it against a count from nothing
 * after every event (`agreement.fake.ts`).
 */
export function touch(state: State, unit: Unit): void {
  listIdle(state, unit);
  bookThreads(state, unit);
  const moved = book(state, unit);
  const movedOnCard = bookVram(state, unit);
  const claimed = placeClaim(state, unit);
  const hasTurned = turned(unit);
  if (moved || movedOnCard || claimed || hasTurned) state.stirred = true;
  schedule(state, unit);
  state.touched.add(unit);
}

/** Whether the unit counts for something else than before. */
function book({ totals, awake }: State, unit: Unit): boolean {
  const { booked } = unit;
  const [charged, incoming, fixed, idle] = [chargedOf(unit), incomingOf(unit), fixedOf(unit), yields(unit)];
  if (
    charged === booked.charged &&
    incoming === booked.incoming &&
    fixed === booked.fixed &&
    idle === booked.idle &&
    awake.has(unit) === 'bytes' in unit.phase
  ) {
    return false;
  }
  totals.charged += charged - booked.charged;
  totals.incoming += incoming - booked.incoming;
  totals.fixed += fixed - booked.fixed;
  Object.assign(booked, { charged, incoming, fixed, idle });
  if ('bytes' in unit.phase) awake.add(unit);
  else awake.delete(unit);
  return true;
}

/**
 * Whether somebody else is the first of those who wait for it, or nobody any more: to whom it gives way goes by that, and so
 * it does for the copies, which share the queue and may be idle all the while.
 */
function turned({ queue, booked, original }: Unit): boolean {
  const first = queue.line[0] ?? null;
  if (original !== null || first === booked.first) return false;
  booked.first = first;
  return true;
}

/** Whether it may make room, but for its residency and for who waits for it. */
function yields(unit: Unit): boolean {
  const { kind } = unit.phase;
  const rests = (kind === 'ready' || kind === 'frozen') && unit.leases.size === 0;
  return (rests || isSpeculative(unit)) && !isProtected(unit);
}

/** Keeps the lists of what may make room, each in the order in which its units came there. */
export function listIdle({ idle }: State, unit: Unit): void {
  const kind = yields(unit) ? unit.phase.kind : null;
  if (kind === 'ready' || kind === 'starting') idle.ready.add(unit);
  else idle.ready.delete(unit);
  if (kind === 'frozen') idle.frozen.add(unit);
  else idle.frozen.delete(unit);
}

/** A ready unit has work: of what is derived, that is all that changes. It is idle again to nobody's surprise. */
export function markBusy(state: State, unit: Unit): void {
  state.idle.ready.delete(unit);
  bookThreads(state, unit);
  unit.booked.idle = false;
}

/** Forgets a unit whose definition is gone once it holds nothing any more, and neither does any copy of it. */
export function dropIfGone(state: State, unit: Unit): void {
  if (!unit.removed || 'bytes' in unit.phase || unit.copies.length > 0) return;
  drop(state, unit);
  const { original } = unit;
  if (!original) return;
  original.copies = original.copies.filter((copy) => copy !== unit);
  dropIfGone(state, original);
}

function drop(state: State, unit: Unit): void {
  state.units.delete(unit.spec.id);
  state.touched.delete(unit);
  state.held.delete(unit);
  state.cores.waiting.delete(unit);
  state.forecast.guesses.delete(unit);
  unit.booked.dueAt = Infinity;
}

/** The first time at which the unit calls for something although nothing happens. */
function dueAtOf(unit: Unit, state: State): number {
  const { phase } = unit;
  if (state.closing) return Infinity;
  if (phase.kind === 'backoff' || phase.kind === 'quarantined') return Math.min(phase.until, queuedUntil(unit));
  return Math.min(restsAt(unit), queuedUntil(unit), residencyEnd(unit), reviewEnd(unit), copyDueAt(unit));
}

/** When those who wait call for another copy, once: what came of that is seen by events. */
function copyDueAt(unit: Unit): number {
  const at = growsAt(unit);
  return at > unit.booked.lookedAt ? at : Infinity;
}

/** The first of those that share the queue looks after it. */
const queuedUntil = ({ queue, original }: Unit): number =>
  original !== null || queue.line.length === 0 ? Infinity : Math.min(queue.nextDeadline, queue.nextAgeing);

/** The end of its residency while that is to come; once it was looked at there is nothing more to see. */
const residencyEnd = (unit: Unit): number => {
  const until = residentUntil(unit);
  return unit.phase.kind === 'ready' && until > unit.booked.lookedAt ? until : Infinity;
};

/** Ready units stay for at least so long, so that what was started is not stopped before it was of use. */
export const residentUntil = (unit: Unit): number =>
  unit.phase.kind === 'ready' && !unit.removed ? unit.phase.until : 0;

/**
 * When it is seen whether a unit that was frozen for being idle is worth what it keeps: once it was frozen for its idle time,
 * and the system has taken back of it what it could.
 */
export const reviewedAt = ({ phase, reason, spec }: Unit): number =>
  phase.kind === 'frozen' && reason.code === 'idle' && spec.idleRung === 'auto'
    ? phase.since + spec.idleAfterMs
    : Infinity;

const reviewEnd = (unit: Unit): number => {
  const at = reviewedAt(unit);
  return at > unit.booked.lookedAt ? at : Infinity;
};

/** When an idle unit goes down a rung by itself; never while it is wanted. */
export function restsAt(unit: Unit): number {
  if (unit.phase.kind !== 'ready' || unit.phase.idleSince === null) return Infinity;
  if (!isIdle(unit) || isWanted(unit)) return Infinity;
  return Math.max(unit.phase.idleSince + idleAfterOf(unit), unit.guessed?.until ?? 0);
}

function schedule(state: State, unit: Unit): void {
  const at = dueAtOf(unit, state);
  // An entry that comes too early finds nothing to do and is followed by the right one.
  if (at >= unit.booked.dueAt) return;
  unit.booked.dueAt = at;
  push(state.due, { at, seq: unit.order, unit });
}

/** Marks the units that are due as touched. */
export function wakeDue(state: State, now: number): void {
  lookAhead(state, now);
  for (let entry = first(state.due); entry && entry.at <= now; entry = first(state.due)) {
    pop(state.due);
    const { unit, at } = entry;
    if (unit.booked.dueAt !== at) continue;
    unit.booked.dueAt = Infinity;
    unit.booked.lookedAt = now;
    state.touched.add(unit);
    state.stirred = true;
  }
}

/**
 * When something is due although nothing happens, or earlier: an entry that is not the unit's newest any more rings for
 * nothing. Infinity when nothing ever is.
 */
export const nextDue = ({ due, forecast, closing }: State): number =>
  Math.min(first(due)?.at ?? Infinity, closing ? Infinity : forecast.looksAt);
