import { rateOf } from './arrivals.ts';
import { busyAt } from './pace.ts';
import { leasesOf, siblingsOf } from './state.ts';
import type { State, Unit } from './state.ts';
import { reloadMs } from './worth.ts';

/** Leases that one instance bears without their slowing one another down much. */
export const bearsOf = ({ pace, spec }: Unit): number => Math.min(spec.slots, pace.bears);

/**
 * Which of them serves the next one, of those with room: the first that bears one more, so that what is not needed has
 * nothing to do and goes; else the one with the fewest.
 */
export function serverOf(unit: Unit, state: State, hasRoom: (one: Unit, state: State) => boolean): Unit | null {
  if (unit.copies.length === 0) return hasRoom(unit, state) ? unit : null;
  let freest: Unit | null = null;
  for (const one of siblingsOf(unit)) {
    if (!hasRoom(one, state)) continue;
    if (one.leases.size + 1 <= bearsOf(one)) return one;
    if (freest === null || one.leases.size < freest.leases.size) freest = one;
  }
  return freest;
}

/** It serves, or will soon. */
export const isUp = ({ phase, removed }: Unit): boolean =>
  !removed && (phase.kind === 'ready' || phase.kind === 'starting' || phase.kind === 'thawing');
export const isComing = ({ phase }: Unit): boolean => phase.kind === 'starting' || phase.kind === 'thawing';

export const canStart = ({ phase, removed }: Unit): boolean =>
  !removed && (phase.kind === 'cold' || phase.kind === 'frozen');

/** How long what waits now takes, with so many of them; ms. */
export const drainMs = (unit: Unit, running: number, now: number): number =>
  (left(unit) * Math.max(unit.holdMs ?? 0, now - meanSince(unit))) / (unit.spec.slots * Math.max(1, running));

/**
 * When those who wait will have waited for longer than another one's start, should none of the present leases end before:
 * how long leases last is not known before the first has ended, and may be otherwise than it was.
 */
export function growsAt(unit: Unit): number {
  const waiting = unit.copies.length === 0 ? 0 : left(unit);
  if (waiting === 0 || !unit.copies.some(canStart)) return Infinity;
  const running = [unit, ...unit.copies].filter(isUp).length;
  return meanSince(unit) + (reloadMs(unit) * unit.spec.slots * Math.max(1, running)) / waiting;
}

/** When the leases held now began, on average; infinite when there are none. */
function meanSince(unit: Unit): number {
  let sum = 0;
  for (const { leases } of siblingsOf(unit)) for (const since of leases.values()) sum += since;
  const count = leasesOf(unit);
  return count === 0 ? Infinity : sum / count;
}

/** Those who wait less those for whom there is a slot already. */
export function left(unit: Unit): number {
  let free = 0;
  for (const { phase, leases, spec } of siblingsOf(unit)) {
    // With fewer slots than it had, one may have more leases than slots for a while.
    if (phase.kind === 'ready') free += Math.max(0, spec.slots - leases.size);
  }
  return Math.max(0, unit.waiters.size - free);
}

/**
 * Slots that are busy on average: the larger of what was seen in the last seconds, and of what the last minutes' requests come
 * to by how long each takes (Little's law).
 */
export const demand = (unit: Unit, now: number): number =>
  Math.max(busyAt(unit.pace, leasesOf(unit), now), rateOf(unit.arrivals, now) * (unit.holdMs ?? 0));
