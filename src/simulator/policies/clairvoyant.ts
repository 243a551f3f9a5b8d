import { chooseVictims } from '#scheduler/victims';
import type { Policy } from '../policy.ts';
import type { Arrival } from '../trace.ts';
import type { Runner } from './desk.ts';
import { createFuture } from './future.ts';
import type { Future } from './future.ts';
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
