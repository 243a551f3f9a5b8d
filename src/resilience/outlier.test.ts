import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createOutliers } from './outlier.ts';
import type { OutlierSettings } from './outlier.ts';

const settings: OutlierSettings = {
  ...{ intervalMs: 100, atLeast: 10, worse: 0.25, slower: null, most: 0.5 },
  ...{ restMs: 1_000, mostRestMs: 3_000, returnMs: 500 },
};

/** Tells twenty answers of each within one interval; of these, so many failed. */
function interval(outliers: ReturnType<typeof createOutliers>, failed: readonly number[], from: number, ms?: number[]) {
  failed.forEach((bad, index) => {
    for (let n = 0; n < 20; n++) outliers.record(index, n < bad, ms?.[index] ?? 10, from);
  });
  outliers.record(0, false, 10, from + settings.intervalMs);
  return failed.map((_, index) => outliers.isOut(index, from + settings.intervalMs));
}

describe('an outlier', () => {
  it('is the one that fails more than the others, and not what all do alike', () => {
    expect(interval(createOutliers(3, settings), [0, 10, 1], 0)).toEqual([false, true, false]);
    expect(interval(createOutliers(3, settings), [10, 10, 11], 0)).toEqual([false, false, false]);
    expect(interval(createOutliers(1, settings), [20], 0)).toEqual([false]);
  });

  it('may be the one that is many times slower, where that is asked for', () => {
    const ms = [10, 12, 90];
    expect(interval(createOutliers(3, { ...settings, slower: 5 }), [0, 0, 0], 0, ms)).toEqual([false, false, true]);
    expect(interval(createOutliers(3, settings), [0, 0, 0], 0, ms)).toEqual([false, false, false]);
  });

  it('comes back after a rest that grows each time, with a part that grows', () => {
    const outliers = createOutliers(2, settings);
    interval(outliers, [0, 20], 0);
    expect([outliers.isOut(1, 1_099), outliers.isOut(1, 1_100)]).toEqual([true, false]);
    expect([1_100, 1_350, 1_600].map((now) => outliers.share(1, now))).toEqual([0.1, 0.5, 1]);
    interval(outliers, [0, 20], 2_000);
    expect([outliers.isOut(1, 4_099), outliers.isOut(1, 4_100), outliers.times(1)]).toEqual([true, false, 2]);
  });

  it('never leaves fewer than its bound says, whatever fails', () => {
    const told = fc.record({ index: fc.nat(7), failed: fc.boolean(), gap: fc.nat(8) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(told, { maxLength: 1_000, size: 'max' }), (count, all) => {
        const outliers = createOutliers(count, settings);
        let now = 0;
        for (const { index, failed, gap } of all) {
          // Half of them nearly always fail, so that there is something to take out.
          outliers.record(index % count, failed && index % 2 === 0, 1, (now += gap));
          const out = Array.from({ length: count }, (_, i) => outliers.isOut(i, now)).filter(Boolean).length;
          expect(out).toBeLessThanOrEqual(Math.floor(count / 2));
        }
      }),
      { numRuns: 200 },
    );
  });
});
