import type { UnitId } from '#kernel/ids';
import type { Event } from '#scheduler/types';
import type { Policy } from '../policy.ts';
import type { Arrival } from '../trace.ts';
import { idOf } from '../units.ts';
import type { Runner } from './desk.ts';
import { swapping } from './swapping.ts';

/**
 * Knows every arrival to come. It brings units up as `llama-swap` does and gives up what will be missed the least: of the idle
 * ones those whose next use is the furthest away for their bytes (Belady's rule, for units of unequal sizes; the sets so
 * chosen are greedy). The best that could be done is NP-hard to find with sizes and costs, so this is a strong heuristic and no
 * bound: a policy that lets a request wait a little to keep what is needed sooner can do with fewer starts.
 */
export function clairvoyant(limitBytes: number, arrivals: readonly Arrival[]): Policy {
  const future = createFuture(arrivals);
  return swapping(limitBytes, {
    name: 'clairvoyant',
    blocked: 'pass',
    parallel: true,
    watch: future.note,
    victims: (idle, now, _target, missing) => byWorth(idle, now, missing, future),
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

/** The least worth first: what a start costs, for the bytes that are of use and the time until it is needed again. */
function byWorth(idle: Iterable<Runner>, now: number, missing: number, future: Future): Runner[] {
  const worth = (runner: Runner): number => {
    const away = Math.max(1, future.nextUse(runner.spec.id) - now);
    return 1 / (Math.min(runner.bytes, missing) * away);
  };
  return [...idle]
    .map((runner) => ({ runner, worth: worth(runner) }))
    .sort((a, b) => a.worth - b.worth || a.runner.lastUsed - b.runner.lastUsed)
    .map(({ runner }) => runner);
}
