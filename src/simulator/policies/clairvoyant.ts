import type { UnitId } from '#kernel/ids';
import type { Event } from '#scheduler/types';
import { chooseVictims } from '#scheduler/victims';
import type { Policy } from '../policy.ts';
import type { Arrival } from '../trace.ts';
import { idOf } from '../units.ts';
import type { Runner } from './desk.ts';
import { swapping } from './swapping.ts';

/**
 * Knows every arrival to come. It brings units up as `llama-swap` does, and of the idle ones it gives up the set that is not
 * needed again for the longest time: Belady's rule, for units of unequal sizes. The best that can be done with sizes is NP-hard to
 * find, so this is a strong heuristic and no bound: who lets a request wait to keep what is needed sooner, or can freeze, may do with
 * fewer starts.
 */
export function clairvoyant(limitBytes: number, arrivals: readonly Arrival[]): Policy {
  const future = createFuture(arrivals);
  return swapping(limitBytes, {
    name: 'clairvoyant',
    blocked: 'pass',
    parallel: true,
    watch: future.note,
    victims: (idle, now, _target, missing) => leastMissed(idle, now, missing, future),
  });
}

interface Future {
  note(event: Event): void;
  /** When the unit is asked for next; Infinity when it never is again. */
  nextUse(unit: UnitId): number;
}

function createFuture(arrivals: readonly Arrival[]): Future {
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

/**
 * The set that frees enough and will be missed the least, found as the scheduler finds its own. What a unit counts falls with
 * the square of the time until it is needed: of the powers that were tried this led to the fewest starts.
 */
function leastMissed(idle: Iterable<Runner>, now: number, missing: number, future: Future): Runner[] {
  const candidates = [...idle].map((unit) => {
    const away = Math.max(1, future.nextUse(unit.spec.id) - now);
    return [{ unit, act: 'stop' as const, frees: unit.bytes, costMs: away ** -2 }];
  });
  return chooseVictims(missing, candidates)?.options.map(({ unit }) => unit) ?? [];
}
