import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { refusalOf, takeAll } from './admission.ts';
import { createBudget, createConcurrency, createRate } from './meter.ts';
import type { Hold, Meter } from './meter.ts';

describe('a rate', () => {
  it('lets exactly so many in, and more as soon as a window is over', () => {
    const rate = createRate(3, 1_000);
    const ask = (now: number) => rate.fits(1, now) && Boolean(rate.take(1, now));
    expect([0, 1, 2, 3, 999, 1_001].map(ask)).toEqual([true, true, true, false, false, false]);
    expect(rate.waitMs(1, 1_001)).toBe(1);
    expect([1_002, 1_002, 1_002, 1_002].map(ask)).toEqual([true, true, true, false]);
  });

  it('does not count what was cancelled', () => {
    const rate = createRate(1, 1_000);
    const hold = rate.take(1, 0);
    hold.cancel();
    hold.cancel();
    expect(rate.used(0)).toBe(0);
    rate.take(1, 0).settle(1, 5);
    expect(rate.fits(1, 500)).toBe(false);
  });

  it('keeps what was used when its limit changes', () => {
    const rate = createRate(1, 1_000);
    rate.take(1, 0);
    rate.limit = 3;
    expect([rate.fits(2, 0), rate.fits(3, 0)]).toEqual([true, false]);
  });
});

describe('a budget', () => {
  it('reserves an estimate and counts what it came to', () => {
    const budget = createBudget(100, 1_000);
    const first = budget.take(60, 0);
    expect([budget.used(0), budget.fits(40, 0), budget.fits(41, 0)]).toEqual([60, true, false]);
    expect(budget.waitMs(41, 0)).toBeNull();
    first.settle(25, 500);
    first.settle(25, 600);
    expect(budget.used(500)).toBe(25);
    // Counted from when it was known, and not from when it was reserved.
    expect(budget.used(1_499)).toBe(25);
    expect(budget.used(1_500)).toBe(0);
  });

  it('lets one in that wants more than all of it, when nothing is used, and then nobody', () => {
    const budget = createBudget(100, 1_000);
    expect(budget.fits(5_000, 0)).toBe(true);
    budget.take(5_000, 0).settle(250, 10);
    expect(budget.used(10)).toBe(250);
    expect(budget.fits(0, 10)).toBe(false);
    expect(budget.waitMs(5_000, 10)).toBe(1_000);
  });

  it('knows no time for what only waits for reservations', () => {
    const budget = createBudget(100, 1_000);
    budget.take(100, 0);
    expect(budget.waitMs(10, 0)).toBeNull();
  });
});

describe('concurrency', () => {
  it('counts what is held, and each end once', () => {
    const gate = createConcurrency(2);
    const [first, second] = [gate.take(1, 0), gate.take(1, 0)];
    expect(gate.fits(1, 0)).toBe(false);
    first.settle(1, 0);
    first.cancel();
    expect([gate.used(0), gate.fits(1, 0)]).toEqual([1, true]);
    second.cancel();
    expect(gate.idle(0)).toBe(true);
  });
});

interface World {
  now: number;
  readonly open: { readonly hold: Hold; readonly amount: number }[];
}

describe('a budget under any order of events', () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant('ask' as const), amount: fc.integer({ min: 0, max: 60 }) }),
    fc.record({ kind: fc.constant('settle' as const), which: fc.nat(), amount: fc.integer({ min: 0, max: 80 }) }),
    fc.record({ kind: fc.constant('cancel' as const), which: fc.nat() }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(700) }),
  );

  it('agrees with an account kept by hand', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const budget = createBudget(100, 1_000);
        const spent: { at: number; amount: number }[] = [];
        const world: World = { now: 0, open: [] };
        for (const one of events) {
          if (one.kind === 'wait') world.now += one.ms;
          if (one.kind === 'ask' && budget.fits(one.amount, world.now)) {
            world.open.push({ hold: budget.take(one.amount, world.now), amount: one.amount });
          }
          if (one.kind === 'settle' || one.kind === 'cancel') {
            const [ended] = world.open.splice(one.which % Math.max(1, world.open.length), 1);
            if (one.kind === 'cancel') ended?.hold.cancel();
            else if (ended) {
              ended.hold.settle(one.amount, world.now);
              spent.push({ at: world.now, amount: one.amount });
            }
          }
          const { now } = world;
          const reserved = world.open.reduce((sum, { amount }) => sum + amount, 0);
          const within = (ms: number) =>
            spent.filter(({ at }) => at + ms > now).reduce((sum, { amount }) => sum + amount, 0);
          expect(budget.used(now)).toBeGreaterThanOrEqual(within(1_000) + reserved);
          expect(budget.used(now)).toBeLessThanOrEqual(within(1_008) + reserved);
        }
      }),
    );
  });
});

describe('an admission', () => {
  it('takes of all meters or of none, and names the one that lets in last', () => {
    const [second, minute, gate] = [createRate(5, 1_000), createRate(1, 60_000), createConcurrency(1)];
    const wants = [second, minute, gate].map((meter: Meter) => ({ meter, amount: 1 }));
    expect(refusalOf(wants, 0)).toBeNull();
    takeAll(wants, 0);
    const refusal = refusalOf(wants, 10);
    expect(refusal?.want.meter).toBe(minute);
    expect(refusal?.waitMs).toBe(59_990);
    expect(second.used(10)).toBe(1);
  });

  it('has no time to tell where only concurrency refuses', () => {
    const gate = createConcurrency(1);
    gate.take(1, 0);
    expect(refusalOf([{ meter: gate, amount: 1 }], 0)).toEqual({ want: { meter: gate, amount: 1 }, waitMs: null });
  });
});
