export interface OutlierSettings {
  /** Milliseconds between judgements. */
  readonly intervalMs: number;
  /** Answers in an interval before one is judged by them. */
  readonly atLeast: number;
  /** By how much its share of failures must exceed that of the others. */
  readonly worse: number;
  /** How many times slower than the others it must be; null where slowness is no reason. */
  readonly slower: number | null;
  /** The share of all that may be out at once. */
  readonly most: number;
  /** Milliseconds that it is out for the first time; so many more each time after, up to `mostRestMs`. */
  readonly restMs: number;
  readonly mostRestMs: number;
  /** Milliseconds in which one that is back gets its whole part again. */
  readonly returnMs: number;
}

export const defaultOutlier: OutlierSettings = {
  ...{ intervalMs: 5_000, atLeast: 20, worse: 0.25, slower: null },
  ...{ most: 0.5, restMs: 10_000, mostRestMs: 300_000, returnMs: 10_000 },
};

/**
 * Finds the one among several that does worse than the others, and takes it out for a while. A failure that all have alike is
 * no reason: then the fault is elsewhere, and taking them out would only make fewer of them.
 */
export interface Outliers {
  record(index: number, failed: boolean, ms: number, now: number): void;
  isOut(index: number, now: number): boolean;
  /** It is back after a rest of another kind: its part grows from now on. */
  returned(index: number, now: number): void;
  /** The part of its weight that it gets now: from a tenth, just after its return, to 1. */
  share(index: number, now: number): number;
  /** How often it was taken out. */
  times(index: number): number;
}

interface Judged {
  seen: number;
  failed: number;
  ms: number;
  outUntil: number;
  backAt: number;
  /** Rests in a row: an interval without a reason takes one off. */
  rests: number;
  times: number;
}

const leastShare = 0.1;

export function createOutliers(count: number, settings: OutlierSettings): Outliers {
  const all = Array.from({ length: count }, (): Judged => ({
    ...{ seen: 0, failed: 0, ms: 0, outUntil: -Infinity, backAt: -Infinity, rests: 0, times: 0 },
  }));
  const mostOut = Math.floor(count * settings.most);
  let judgeAt = -Infinity;

  const judge = (now: number) => {
    const bad = all.map((one) => badness(one, othersOf(all, one), settings));
    const order = all.map((_, i) => i).sort((a, b) => (bad[b] ?? 0) - (bad[a] ?? 0));
    let out = all.filter(({ outUntil }) => outUntil > now).length;
    for (const i of order) {
      const one = all[i] as Judged;
      if ((bad[i] ?? 0) <= 0) {
        if (one.seen > 0) one.rests = Math.max(0, one.rests - 1);
      } else if (one.outUntil <= now && out < mostOut) {
        out++;
        rest(one, now, settings);
      }
      one.seen = one.failed = one.ms = 0;
    }
  };
  return {
    record(index, failed, ms, now) {
      const one = all[index] as Judged;
      one.seen++;
      if (failed) one.failed++;
      else one.ms += ms;
      if (judgeAt === -Infinity) judgeAt = now + settings.intervalMs;
      if (now < judgeAt) return;
      judgeAt = now + settings.intervalMs;
      judge(now);
    },
    isOut: (index, now) => (all[index] as Judged).outUntil > now,
    returned: (index, now) => void ((all[index] as Judged).backAt = now),
    share(index, now) {
      const since = now - (all[index] as Judged).backAt;
      return since >= settings.returnMs ? 1 : Math.max(leastShare, since / settings.returnMs);
    },
    times: (index) => (all[index] as Judged).times,
  };
}

function rest(one: Judged, now: number, { restMs, mostRestMs }: OutlierSettings): void {
  one.rests++;
  one.times++;
  one.outUntil = now + Math.min(restMs * one.rests, mostRestMs);
  one.backAt = one.outUntil;
}

type Sum = Pick<Judged, 'seen' | 'failed' | 'ms'>;

function othersOf(all: readonly Judged[], self: Judged): Sum {
  const sum = { seen: 0, failed: 0, ms: 0 };
  for (const one of all) {
    if (one === self) continue;
    sum.seen += one.seen;
    sum.failed += one.failed;
    sum.ms += one.ms;
  }
  return sum;
}

/** How much worse it is than it may be; 0 for not at all. */
function badness(own: Sum, others: Sum, { atLeast, worse, slower }: OutlierSettings): number {
  if (own.seen < atLeast || others.seen < atLeast) return 0;
  const excess = own.failed / own.seen - others.failed / others.seen;
  if (excess >= worse) return 1 + excess;
  const times = meanOf(own) / meanOf(others);
  return slower !== null && times >= slower ? 1 - 1 / times : 0;
}

/** Milliseconds of those that did not fail. */
const meanOf = ({ seen, failed, ms }: Sum): number => (seen === failed ? NaN : ms / (seen - failed));
