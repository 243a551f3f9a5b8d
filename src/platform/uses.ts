import type { Clock } from '#kernel/clock';
import { originalOf } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Waker } from '#routing/wake';

/** What one consumer asked of one unit. */
export interface Use {
  readonly from: string;
  readonly to: UnitId;
  readonly requests: number;
  /** Milliseconds since the epoch. */
  readonly lastAt: number;
}

/** Requests that were made with the keys of instances, by who made them and to what. Since the platform started. */
export interface Uses {
  readonly since: number;
  list(): readonly Use[];
}

/** The same waker, with who asks for what written down. Answers that are kept wake nothing, and are not seen here. */
export function countUses(waker: Waker, clock: Clock): { readonly waker: Waker; readonly uses: Uses } {
  const all = new Map<string, { from: string; to: UnitId; requests: number; lastAt: number }>();
  const since = clock.wall();
  const count = (from: string, to: UnitId): void => {
    const key = `${from} ${to}`;
    const use = all.get(key) ?? { from, to, requests: 0, lastAt: 0 };
    use.requests++;
    use.lastAt = clock.wall();
    all.set(key, use);
  };
  return {
    uses: { since, list: () => [...all.values()] },
    waker: {
      ...waker,
      wake(unit, caller) {
        const { principal, choice } = caller;
        // Without a choice it is only held awake; with places to avoid it is the same request once more.
        const isFirst = choice !== undefined && choice.avoid.size === 0;
        if (isFirst && isInstance(principal)) count(principal, originalOf(unit));
        return waker.wake(unit, caller);
      },
    },
  };
}

/** Instances speak as their units, and runs of tools as their tools. */
const isInstance = (principal: string): boolean => principal.startsWith('service/') || principal.startsWith('job/');
