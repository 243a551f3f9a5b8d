/** What was spent within a short time of each other: it counts until the last of it is a whole window ago. */
export interface Span {
  readonly from: number;
  last: number;
  /** Zero once it does not count any more. */
  amount: number;
}

/** What was spent within the last `windowMs`. Times are milliseconds of a clock that never jumps. */
export interface SlidingWindow {
  readonly windowMs: number;
  used(now: number): number;
  /** Counts an amount; what is returned lets it be taken back. */
  spend(amount: number, now: number): Span;
  /** Takes back a part of what was spent, as far as it still counts. */
  giveBack(span: Span, amount: number): void;
  /** Milliseconds until no more than `limit - amount` is used: 0 when that is so now. */
  waitMs(amount: number, limit: number, now: number): number;
  /** What counts, the oldest first, with how many milliseconds ago it was spent. */
  ages(now: number): readonly Aged[];
  /** Counts what was spent before this window was there. Only before anything else is. */
  restore(aged: readonly Aged[], now: number): void;
}

export interface Aged {
  readonly ageMs: number;
  readonly amount: number;
}

/** Spans of a window at most, about: so the last of an amount may count a 128th of the window too long, and never too short. */
const resolution = 128;

/**
 * A log of what was spent, coarse enough to stay small. In no stretch of `windowMs`, wherever it begins, does more count than
 * was allowed: a fixed window would let twice as much through across its edge, and a bucket that refills twice as much in
 * its first window.
 */
export function createWindow(windowMs: number): SlidingWindow {
  const spans: Span[] = [];
  const width = windowMs / resolution;
  let total = 0;
  const forget = (now: number): void => {
    let first = spans[0];
    while (first && first.last + windowMs <= now) {
      total -= first.amount;
      first.amount = 0;
      spans.shift();
      first = spans[0];
    }
    // Amounts need not be whole, and sums of those that are not drift.
    if (spans.length === 0) total = 0;
  };
  return {
    windowMs,
    used(now) {
      forget(now);
      return total;
    },
    spend(amount, now) {
      forget(now);
      total += amount;
      const newest = spans.at(-1);
      if (newest && now - newest.from < width) {
        newest.last = now;
        newest.amount += amount;
        return newest;
      }
      const span = { from: now, last: now, amount };
      spans.push(span);
      return span;
    },
    giveBack(span, amount) {
      const back = Math.min(amount, span.amount);
      span.amount -= back;
      total -= back;
    },
    waitMs(amount, limit, now) {
      forget(now);
      let left = total;
      if (left + amount <= limit) return 0;
      // Asked with every answer: no need to look at each when all must be over.
      const newest = spans.at(-1);
      if (amount >= limit && newest) return newest.last + windowMs - now;
      for (const span of spans) {
        left -= span.amount;
        if (left + amount <= limit) return span.last + windowMs - now;
      }
      return windowMs;
    },
    ages(now) {
      forget(now);
      return spans.map(({ last, amount }) => ({ ageMs: now - last, amount }));
    },
    restore(aged, now) {
      for (const { ageMs, amount } of aged) {
        spans.push({ from: now - ageMs, last: now - ageMs, amount });
        total += amount;
      }
    },
  };
}
