import { createWindow } from './window.ts';
import type { Aged, Span } from './window.ts';

/** A right that was taken. One of the two ends it; whatever comes after that does nothing. */
export interface Hold {
  /** It was used: to the amount that is known now. */
  settle(amount: number, now: number): void;
  /** It was not used at all. */
  cancel(): void;
}

/** How much of something may be used, and how much is. */
export interface Meter {
  /** May change while it is in use: what was used stays used. */
  limit: number;
  /** Milliseconds; 0 where it is not about time. */
  readonly windowMs: number;
  /** With what is reserved. More than the limit where more was used than had been reserved. */
  used(now: number): number;
  fits(amount: number, now: number): boolean;
  /** Takes an amount whether it fits or not: whoever asks has looked. */
  take(amount: number, now: number): Hold;
  /** Milliseconds until the amount may fit; null when only the end of something else can tell. */
  waitMs(amount: number, now: number): number | null;
  /** Whether nothing is used or reserved, so that a new one would be the same. */
  idle(now: number): boolean;
}

/** A meter whose use fades with time, and can be carried over a restart. */
export interface TimedMeter extends Meter {
  ages(now: number): readonly Aged[];
  restore(aged: readonly Aged[], now: number): void;
}

const nothing = (): void => undefined;

/** So many at a time: `100/minute`. Each counts from when it was let in. */
export function createRate(limit: number, windowMs: number): TimedMeter {
  const window = createWindow(windowMs);
  return {
    limit,
    windowMs,
    used: (now) => window.used(now),
    fits(amount, now) {
      return window.used(now) + amount <= this.limit;
    },
    take(amount, now) {
      let span: Span | null = window.spend(amount, now);
      return {
        settle: () => void (span = null),
        cancel() {
          if (span) window.giveBack(span, amount);
          span = null;
        },
      };
    },
    waitMs(amount, now) {
      return window.waitMs(amount, this.limit, now);
    },
    idle: (now) => window.used(now) === 0,
    ages: (now) => window.ages(now),
    restore: (aged, now) => window.restore(aged, now),
  };
}

/**
 * So much of what is only known afterwards: tokens, bytes. An estimate is reserved, the true amount counts from when it is
 * settled. An estimate beyond the whole limit reserves the limit, else such a request could never come in.
 */
export function createBudget(limit: number, windowMs: number): TimedMeter {
  const window = createWindow(windowMs);
  let reserved = 0;
  const capped = (amount: number, most: number) => Math.min(amount, most);
  return {
    limit,
    windowMs,
    used: (now) => window.used(now) + reserved,
    fits(amount, now) {
      const used = window.used(now) + reserved;
      // What is used up lets nothing in, however little it wants: its true amount may be more.
      return used < this.limit && used + capped(amount, this.limit) <= this.limit;
    },
    take(amount, now) {
      const own = capped(amount, this.limit);
      reserved += own;
      let open = true;
      const end = (spent: number, at: number) => {
        if (!open) return;
        open = false;
        reserved -= own;
        if (spent > 0) window.spend(spent, at);
      };
      return { settle: end, cancel: () => end(0, now) };
    },
    waitMs(amount, now) {
      const free = this.limit - reserved;
      const wanted = Math.max(1, capped(amount, this.limit));
      // What is reserved comes back at a time that nobody knows.
      return wanted > free ? null : window.waitMs(wanted, free, now);
    },
    idle: (now) => reserved === 0 && window.used(now) === 0,
    ages: (now) => window.ages(now),
    restore: (aged, now) => window.restore(aged, now),
  };
}

/** So many at once. */
export function createConcurrency(limit: number): Meter {
  let held = 0;
  return {
    limit,
    windowMs: 0,
    used: () => held,
    fits(amount) {
      return held + amount <= this.limit;
    },
    take(amount) {
      held += amount;
      let give = () => {
        held -= amount;
        give = nothing;
      };
      return { settle: () => give(), cancel: () => give() };
    },
    waitMs: () => null,
    idle: () => held === 0,
  };
}
