import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWindow } from './window.ts';
import type { Span } from './window.ts';

const windowMs = 1_000;

/** What it is compared with: everything that was spent, remembered for ever. */
function naive() {
  const spent: { at: number; amount: number }[] = [];
  return {
    spent,
    /** What was spent in the window that ends now, and in one that is a 128th longer. */
    bounds: (now: number) => {
      const since = (ms: number) =>
        spent.filter(({ at }) => at + ms > now).reduce((sum, { amount }) => sum + amount, 0);
      return { least: since(windowMs), most: since(windowMs * (1 + 1 / 128)) };
    },
  };
}

/** Milliseconds in eighths: sums of them are exact, so that what falls due at a time falls due then. */
const steps = fc.array(fc.record({ pause: fc.nat(400), amount: fc.integer({ min: 1, max: 50 }) }), {
  maxLength: 400,
});

describe('a sliding window', () => {
  it('counts never less than was spent in it, and what is older by at most a 128th', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const window = createWindow(windowMs);
        const oracle = naive();
        let now = 0;
        for (const { pause, amount } of all) {
          now += pause / 8;
          window.spend(amount, now);
          oracle.spent.push({ at: now, amount });
          const { least, most } = oracle.bounds(now);
          expect(window.used(now)).toBeGreaterThanOrEqual(least);
          expect(window.used(now)).toBeLessThanOrEqual(most);
        }
      }),
    );
  });

  it('keeps few spans, however many were spent', () => {
    const window = createWindow(windowMs);
    for (let now = 0; now < 5_000; now += 0.5) window.spend(1, now);
    expect(window.ages(5_000).length).toBeLessThanOrEqual(130);
  });

  it('says how long to wait to the millisecond: not fitting just before, fitting then', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 100 }), (all, amount) => {
        const window = createWindow(windowMs);
        let now = 0;
        for (const { pause, amount: spent } of all) window.spend(spent, (now += pause / 8));
        const wait = window.waitMs(amount, 100, now);
        expect(window.used(now + wait) + amount).toBeLessThanOrEqual(100);
        if (wait > 0) {
          const same = createWindow(windowMs);
          let then = 0;
          for (const { pause, amount: spent } of all) same.spend(spent, (then += pause / 8));
          expect(same.used(now + wait - 1 / 8) + amount).toBeGreaterThan(100);
        }
      }),
    );
  });

  it('takes back what still counts, once and no more', () => {
    const window = createWindow(windowMs);
    const early = window.spend(5, 0);
    window.spend(3, 500);
    window.giveBack(early, 2);
    expect(window.used(500)).toBe(6);
    window.giveBack(early, 99);
    expect(window.used(500)).toBe(3);
    const old: Span = early;
    expect(window.used(1_000)).toBe(3);
    window.giveBack(old, 5);
    expect(window.used(1_000)).toBe(3);
    expect(window.used(1_500)).toBe(0);
  });

  it('is the same again after it was carried over', () => {
    fc.assert(
      fc.property(steps, fc.nat(2_000), (all, later) => {
        const window = createWindow(windowMs);
        let now = 0;
        for (const { pause, amount } of all) window.spend(amount, (now += pause / 8));
        const other = createWindow(windowMs);
        // A clock of another process begins elsewhere.
        other.restore(window.ages(now), now + 7_000_000);
        expect(other.used(now + 7_000_000 + later)).toBe(window.used(now + later));
      }),
    );
  });
});
