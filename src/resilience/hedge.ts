import { createRolling } from './rolling.ts';

export interface HedgeSettings {
  /** The share of requests, slowest first, that a second one is sent for: 0.05 sends it after the 95th percentile. */
  readonly slowest: number;
  /** Second requests as a share of the first ones within ten seconds. */
  readonly budget: number;
  /** Answers that must have been seen before anything is known of what is slow. */
  readonly atLeast: number;
  /** Milliseconds before which no second one is sent. */
  readonly leastMs: number;
}

export const defaultHedge: HedgeSettings = { slowest: 0.05, budget: 0.1, atLeast: 50, leastMs: 5 };

/** Sends the slowest few of the reads a second time, elsewhere: who answers first is heard. */
export interface Hedges {
  observe(ms: number): void;
  /** Milliseconds after which a second one is sent for a request that begins now; null when too little is known. */
  afterMs(now: number): number | null;
  /** Whether a second one may go out now. A yes is paid from the budget. */
  take(now: number): boolean;
}

/** Bounds of the histogram: each a quarter more than the one before, from a quarter of a millisecond to some hours. */
const growth = 1.25;
const firstMs = 0.25;
const bins = 80;
/** Seen values after which all counts are halved, so that the past fades. */
const fadeAfter = 2_000;

const [requests, seconds] = [0, 1];

export function createHedges(settings: HedgeSettings): Hedges {
  const counts = new Float64Array(bins);
  const sent = createRolling(10_000, 2);
  let seen = 0;
  const fade = () => {
    seen = 0;
    for (let i = 0; i < bins; i++) seen += counts[i] = Math.floor((counts[i] ?? 0) / 2);
  };
  return {
    observe(ms) {
      const bin = Math.ceil(Math.log(Math.max(ms, firstMs) / firstMs) / Math.log(growth));
      const at = Math.min(bins - 1, bin);
      counts[at] = (counts[at] ?? 0) + 1;
      if (++seen >= fadeAfter) fade();
    },
    afterMs(now) {
      sent.add(requests, now);
      if (seen < settings.atLeast) return null;
      let slower = seen * settings.slowest;
      let bin = bins - 1;
      while (bin > 0 && (slower -= counts[bin] ?? 0) >= 0) bin--;
      return Math.max(settings.leastMs, firstMs * growth ** bin);
    },
    take(now) {
      if (sent.sum(seconds, now) + 1 > sent.sum(requests, now) * settings.budget) return false;
      sent.add(seconds, now);
      return true;
    },
  };
}
