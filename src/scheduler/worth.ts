import { soonness } from './arrivals.ts';
import { isIdle, reservationOf } from './state.ts';
import type { State, Unit } from './state.ts';

/** A unit that was never started is taken to need half a second and the time to read it at this many bytes a millisecond. */
const guessedBytesPerMs = 500_000;

/** Milliseconds from cold to ready: learned, else a guess from its size. Never nothing, so that the chance counts. */
export const reloadMs = (unit: Unit): number =>
  Math.max(1, unit.startMs ?? 500 + reservationOf(unit) / guessedBytesPerMs);

/** Milliseconds from frozen to ready. Until it was seen once it is taken for quick: nothing is read anew. */
export const thawMs = (unit: Unit): number => unit.thawMs ?? 50;

/** Ten steps of priority double what a unit's waiting counts; what should stay counts four times as much. */
export const weightOf = ({ spec }: Unit): number =>
  2 ** ((spec.priority - 50) / 10) * (spec.tier === 'persistent' ? 4 : 1);

/**
 * Milliseconds of the machine's time that any start costs beside its own waiting: what it reads and computes keeps others
 * from theirs. Makes the number of starts count beside their length.
 */
export const startUpkeepMs = 5_000;

/** Who asks while a copy is gone has the others: it waits a part of what it would without any. */
const copyPart = 1 / 4;

/** What each millisecond of having to wait for the unit counts, by how soon anybody will have to. */
export const regretOf = (unit: Unit, state: State, now: number): number =>
  weightOf(unit) * (unit.original ? copyPart : 1) * (isIdle(unit) ? soonOf(unit, state, now) : 1);

function soonOf({ spec, arrivals }: Unit, { settings: { horizonMs }, foresight }: State, now: number): number {
  if (foresight) return horizonMs / (horizonMs + foresight(spec.id, now));
  return soonness(arrivals, horizonMs, now);
}
