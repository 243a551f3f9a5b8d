import type { Settings } from '#scheduler/types';
import type { Policy } from '../policy.ts';
import type { Arrival } from '../trace.ts';
import { createFuture } from './future.ts';
import { sutaz } from './sutaz.ts';

/**
 * The scheduler as it is, but that it is told when each unit will be asked for next instead of learning it: what knowing better could
 * gain, with the same order, rungs and search. No bound: it looks no further than the next request of each unit.
 */
export function foresight(limitBytes: number, settings: Settings, arrivals: readonly Arrival[]): Policy {
  const future = createFuture(arrivals);
  const policy = sutaz(limitBytes, settings, (unit, now) => Math.max(1, future.nextUse(unit) - now));
  return {
    ...policy,
    name: 'foresight',
    step(event, now) {
      future.note(event);
      return policy.step(event, now);
    },
  };
}
