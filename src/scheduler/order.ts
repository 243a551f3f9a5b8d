import type { State, Unit, Queued } from './state.ts';

/** The place of a waiter in its unit's queue, counted from 1; null once it does not wait any more. */
export function positionOf(unit: Unit, waiter: Queued['id']): number | null {
  const self = unit.waiters.get(waiter);
  return self ? unit.queue.line.indexOf(self) + 1 : null;
}

/** How many units go before this one for memory. 0 when it holds its memory already or is the next. */
export const unitsBefore = (unit: Unit, state: State): number => Math.max(0, state.claims.indexOf(unit));
