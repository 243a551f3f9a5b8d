import type { UnitId } from '#kernel/ids';
import type { Event } from '#scheduler/types';
import type { Arrival } from '../trace.ts';
import { idOf } from '../units.ts';

/** What is asked for when, for those who are told. */
export interface Future {
  note(event: Event): void;
  /** When the unit is asked for next; Infinity when it never is again. */
  nextUse(unit: UnitId): number;
}

export function createFuture(arrivals: readonly Arrival[]): Future {
  const times = new Map<UnitId, { readonly at: number[]; seen: number }>();
  for (const { unit, t } of arrivals) {
    const id = idOf(unit);
    const entry = times.get(id);
    if (entry) entry.at.push(t);
    else times.set(id, { at: [t], seen: 0 });
  }
  return {
    note(event) {
      if (event.kind !== 'request') return;
      const entry = times.get(event.waiter.unit);
      if (entry) entry.seen++;
    },
    nextUse(unit) {
      const entry = times.get(unit);
      return entry?.at[entry.seen] ?? Infinity;
    },
  };
}
