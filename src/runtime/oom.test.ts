import fc from 'fast-check';
import { expect, it } from 'vitest';
import { oomScoreAdj } from './oom.ts';

const tiers = ['core', 'persistent', 'on-demand'] as const;
const priority = fc.integer({ min: 0, max: 100 });

it('is larger for what starts when asked than for what is kept, least for the core, and falls with the priority', () => {
  expect([0, 50, 100].map((of) => oomScoreAdj('on-demand', of))).toEqual([800, 550, 300]);
  expect([0, 50, 100].map((of) => oomScoreAdj('persistent', of))).toEqual([250, 200, 150]);
  expect([0, 50, 100].map((of) => oomScoreAdj('core', of))).toEqual([100, 75, 50]);
});

it('never lets a higher tier go first, nor the platform, whose own is 0', () => {
  fc.assert(
    fc.property(priority, priority, (one, other) => {
      const [core, persistent, onDemand] = tiers.map((tier) => oomScoreAdj(tier, one));
      const [, next, last] = tiers.map((tier) => oomScoreAdj(tier, other));
      expect(0 < (core ?? 0) && (core ?? 0) < (next ?? 0) && (persistent ?? 0) < (last ?? 0)).toBe(true);
      expect(onDemand).toBeLessThanOrEqual(800);
    }),
  );
});
