import type { Clock } from './clock.ts';

export interface FakeClock extends Clock {
  /** Moves time on and fires what fell due, in order of its time. */
  advance(ms: number): void;
  readonly pending: number;
}

/** A clock that stands still until a test moves it. */
export function fakeClock(start = 0, wallStart = 1_700_000_000_000): FakeClock {
  let now = start;
  let serial = 0;
  const timers = new Map<number, { readonly at: number; readonly callback: () => void }>();
  const due = (until: number) =>
    [...timers].filter(([, timer]) => timer.at <= until).sort(([i, a], [j, b]) => a.at - b.at || i - j)[0];
  return {
    now: () => now,
    wall: () => wallStart + (now - start),
    after(ms, callback) {
      const id = ++serial;
      timers.set(id, { at: now + Math.max(0, ms), callback });
      return () => timers.delete(id);
    },
    advance(ms) {
      const until = now + ms;
      for (let next = due(until); next; next = due(until)) {
        timers.delete(next[0]);
        now = Math.max(now, next[1].at);
        next[1].callback();
      }
      now = until;
    },
    get pending() {
      return timers.size;
    },
  };
}
