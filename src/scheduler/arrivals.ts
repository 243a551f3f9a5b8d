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
  /** Requests per millisecond, smoothed over a short and over a long while, as of `lastAt`. */
  shortRate: number;
  longRate: number;
}

const shortest = 125;
const bins = 36;
/** A pause weighs half of one that came 35 pauses later. */
const growth = 1.02;
const shortWhileMs = 5 * 60_000;
const longWhileMs = 60 * 60_000;
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

/**
 * The chance, 0 to 1, that the unit is asked for within `horizonMs` from now, given that nobody has since its last
 * request: of the pauses that were longer than this one is already, those that ended by then.
 */
export function chanceWithin(arrivals: Arrivals, horizonMs: number, now: number): number {
  const prior = 1 - Math.exp(-rateOf(arrivals, now) * horizonMs);
  if (arrivals.lastAt === null) return prior;
  const pause = now - arrivals.lastAt;
  const [from, to] = [binOf(pause), binOf(pause + horizonMs)];
  const { pauses, weight } = arrivals;
  let longer = 0;
  let within = 0;
  for (let bin = Math.floor(from); bin < bins; bin++) {
    const mass = pauses[bin] ?? 0;
    if (mass === 0) continue;
    const start = Math.max(0, from - bin);
    const end = Math.min(1, to - bin);
    longer += mass * (1 - start);
    if (end > start) within += mass * (end - start);
  }
  const known = priorPauses * weight;
  return (within + known * prior) / (longer + known);
}
