import { residentUntil } from './account.ts';
import { chargedOf, isConnected, isIdle, isProtected, isSpeculative, keptOf } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Candidate, Option } from './victims.ts';
import { regretOf, reloadMs, startUpkeepMs, thawMs } from './worth.ts';

/**
 * Whether it may be put to sleep to make room: idle, frozen, or starting for a guess, neither core nor pinned, and not just
 * started.
 */
export function isEvictable(unit: Unit, now: number): boolean {
  if (isProtected(unit) || mustStay(unit)) return false;
  if (unit.phase.kind === 'starting') return isSpeculative(unit);
  // Who waits waits for the first one: a copy that is not wanted does nothing for them.
  if (unit.phase.kind === 'frozen') return (unit.original !== null || unit.waiters.size === 0) && !unit.booked.claim;
  return unit.phase.kind === 'ready' && isIdle(unit) && now >= residentUntil(unit);
}

/** Something is open, which a stop would cut, and freezing gives nothing. */
export const mustStay = (unit: Unit): boolean => isConnected(unit) && freezeGives(unit) <= 0;

/** Bytes that come back when it is frozen, as far as is known. */
const freezeGives = (unit: Unit): number =>
  unit.phase.kind === 'ready' && unit.spec.rungs.freezable ? chargedOf(unit) - keptOf(unit) : 0;

/** Whether it could be evicted once what it is doing now is done: then a waiter waits for it and is not refused. */
export const mayYield = (unit: Unit): boolean => !isProtected(unit) && 'bytes' in unit.phase;

/** What can be done with a unit to free bytes, each with what it is expected to cost. */
export function optionsOf(unit: Unit, state: State, now: number): Candidate<Unit> {
  const regret = regretOf(unit, state, now);
  const frees = chargedOf(unit);
  if (unit.phase.kind === 'frozen') {
    // Thawing would have been needed anyway: only what a start takes longer is lost.
    const costMs = regret * (startUpkeepMs + Math.max(0, reloadMs(unit) - thawMs(unit)));
    return (frees > 0 || unit.card.held) && !isConnected(unit) ? [{ unit, act: 'stop', frees, costMs }] : [];
  }
  const stop: Option<Unit> = { unit, act: 'stop', frees, costMs: regret * (startUpkeepMs + reloadMs(unit)) };
  const gives = freezeGives(unit);
  const stops = (frees > 0 || unit.card.held) && !isConnected(unit) ? [stop] : [];
  if (gives <= 0) return stops;
  return [{ unit, act: 'freeze', frees: gives, costMs: regret * thawMs(unit) }, ...stops];
}

/** Of each list so many are weighed; the others are used more lately, so that they are hardly cheaper to do without. */
const weighed = 16;

/** The units that may make room now: all of few, of many those that were idle or frozen for longest. */
export function evictable(state: State, now: number): Candidate<Unit>[] {
  const found: Candidate<Unit>[] = [];
  for (const list of [state.idle.frozen, state.idle.ready]) {
    const most = found.length + weighed;
    for (const unit of list) {
      if (found.length >= most) break;
      offer(unit, state, now, found);
    }
  }
  return found;
}

/** All of them, for who cannot make do with those. */
export function allEvictable(state: State, now: number): Candidate<Unit>[] {
  const found: Candidate<Unit>[] = [];
  for (const list of [state.idle.frozen, state.idle.ready]) for (const unit of list) offer(unit, state, now, found);
  return found;
}

/** Whether `evictable` leaves some out. */
export const isMany = ({ idle }: State): boolean => idle.frozen.size > weighed || idle.ready.size > weighed;

function offer(unit: Unit, state: State, now: number, found: Candidate<Unit>[]): void {
  if (!isEvictable(unit, now)) return;
  const options = optionsOf(unit, state, now);
  if (options.length > 0) found.push(options);
}
