/**
 * When a unit is asked for, as far as its past tells: how long the pauses between two requests were, and how often it
 * was asked for lately. All times are milliseconds.
 */
export interface Arrivals {
  lastAt: number | null;
  /** Pauses by length, in half octaves; newer ones weigh more. */
  readonly pauses: Float64Array;
  /** What the next pause weighs: growing weights are decay without touching what is there. */
  weight: number;
  /** Requests per millisecond, smoothed over minutes and over half a day, as of `lastAt`. */
  shortRate: number;
  longRate: number;
}

const shortest = 125;
const bins = 36;
/** A pause weighs half of one that came 35 pauses later. */
const growth = 1.02;
const shortWhileMs = 5 * 60_000;
const longWhileMs = 12 * 60 * 60_000;
/** So much the smoothed rate counts beside the pauses that were seen: as many pauses as this. */
const priorPauses = 2;
/** A unit nobody asked for yet is taken for one that is asked for once in so long. */
const unknownMs = 30 * 60_000;

export const createArrivals = (): Arrivals => ({
  lastAt: null,
  pauses: new Float64Array(bins),
  weight: 1,
  shortRate: 0,
  longRate: 0,
});

/** The bin of a pause, as a number with a fraction: how far into the bin. */
const binOf = (ms: number): number => (ms <= shortest ? 0 : Math.min(bins - 1e-9, 2 * Math.log2(ms / shortest)));

export function noteArrival(arrivals: Arrivals, now: number): void {
  const { lastAt, pauses } = arrivals;
  arrivals.lastAt = now;
  if (lastAt === null) {
    arrivals.shortRate = 1 / shortWhileMs;
    arrivals.longRate = 1 / longWhileMs;
    return;
  }
  const pause = now - lastAt;
  const bin = Math.floor(binOf(pause));
  pauses[bin] = (pauses[bin] ?? 0) + arrivals.weight;
  arrivals.weight *= growth;
  if (arrivals.weight > 1e12) rescale(arrivals);
  arrivals.shortRate = arrivals.shortRate * Math.exp(-pause / shortWhileMs) + 1 / shortWhileMs;
  arrivals.longRate = arrivals.longRate * Math.exp(-pause / longWhileMs) + 1 / longWhileMs;
}

function rescale(arrivals: Arrivals): void {
  const { pauses, weight } = arrivals;
  for (let i = 0; i < pauses.length; i++) pauses[i] = (pauses[i] ?? 0) / weight;
  arrivals.weight = 1;
}

/** Requests per millisecond now; the larger of the two whiles, so that one who woke up counts as awake. */
export function rateOf(arrivals: Arrivals, now: number): number {
  if (arrivals.lastAt === null) return 1 / unknownMs;
  const pause = now - arrivals.lastAt;
  const short = arrivals.shortRate * Math.exp(-pause / shortWhileMs);
  const long = arrivals.longRate * Math.exp(-pause / longWhileMs);
  return Math.max(short, long);
}

/** Requests expected within a horizon, below which they are not told apart. */
const never = 1e-9;
/** The middle of each bin, halfway by octaves; ms. */
const middles = Float64Array.from({ length: bins }, (_, bin) => shortest * 2 ** ((bin + 0.5) / 2));
const endOf = (bin: number): number => shortest * 2 ** ((bin + 1) / 2);

/**
 * How soon the unit is asked for again, from 0 to 1: the mean of `horizon / (horizon + time until then)`, given that nobody
 * has asked since its last request. 1 is at once, a half is in one horizon, and what is far off still differs from what is
 * farther, so that a quiet machine keeps the right things too. Taken over the pauses that were longer than this one is
 * already, with the smoothed rate as prior (for exponential pauses the mean is within a tenth of `x ln(1 + 1 / x)`, with
 * `x` requests expected within a horizon).
 */
export function soonness(arrivals: Arrivals, horizonMs: number, now: number): number {
  const expected = Math.max(rateOf(arrivals, now) * horizonMs, never);
  const prior = expected * Math.log1p(1 / expected);
  if (arrivals.lastAt === null) return prior;
  const { pauses, weight } = arrivals;
  const pause = now - arrivals.lastAt;
  const from = binOf(pause);
  const first = Math.floor(from);
  let mass = (pauses[first] ?? 0) * (1 - (from - first));
  let sum = (mass * horizonMs) / (horizonMs + Math.max(0, (endOf(first) - pause) / 2));
  for (let bin = first + 1; bin < bins; bin++) {
    const more = pauses[bin] ?? 0;
    if (more === 0) continue;
    mass += more;
    sum += (more * horizonMs) / (horizonMs + (middles[bin] ?? 0) - pause);
  }
  const known = priorPauses * weight;
  return (sum + known * prior) / (mass + known);
}

/** The time that a soonness stands for: when it will be asked for, about; ms. */
export const timeUntil = (soonness: number, horizonMs: number): number => horizonMs / soonness - horizonMs;
