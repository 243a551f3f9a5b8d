import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseVictims } from './victims.ts';
import type { Candidate, Choice, Option } from './victims.ts';

const act = fc.constantFrom('freeze' as const, 'stop' as const);
const option = fc.record({ act, frees: fc.integer({ min: 1, max: 20 }), costMs: fc.nat(50) });
const drawn = fc.array(fc.array(option, { minLength: 1, maxLength: 2 }), { maxLength: 8 });
const many = fc.array(fc.array(option, { minLength: 1, maxLength: 2 }), { minLength: 13, maxLength: 60 });

const named = (list: readonly (readonly Omit<Option<string>, 'unit'>[])[]): Candidate<string>[] =>
  list.map((options, i) => options.map((one) => ({ ...one, unit: `u${i}` })));

/** Every combination there is. */
function cheapest(need: number, candidates: readonly Candidate<string>[]): number {
  if (need <= 0) return 0;
  const [first, ...rest] = candidates;
  if (!first) return Infinity;
  const taken = first.map(({ frees, costMs }) => costMs + cheapest(need - frees, rest));
  return Math.min(cheapest(need, rest), ...taken);
}

const frees = (options: readonly Option<string>[]) => options.reduce((total, one) => total + one.frees, 0);

function isFair(choice: Choice<string>, need: number): void {
  expect(choice.frees).toBe(frees(choice.options));
  expect(choice.frees).toBeGreaterThanOrEqual(need);
  expect(choice.costMs).toBe(choice.options.reduce((total, { costMs }) => total + costMs, 0));
  expect(new Set(choice.options.map(({ unit }) => unit)).size).toBe(choice.options.length);
}

describe('chooseVictims', () => {
  it('finds the cheapest set of all, one option a unit, and null when all of them would not do', () => {
    fc.assert(
      fc.property(drawn, fc.integer({ min: 1, max: 80 }), (list, need) => {
        const candidates = named(list);
        const choice = chooseVictims(need, candidates);
        expect(choice?.costMs ?? Infinity).toBe(cheapest(need, candidates));
        if (choice) isFair(choice, need);
      }),
    );
  });

  it('frees enough of many, with none to spare', () => {
    fc.assert(
      fc.property(many, fc.integer({ min: 1, max: 400 }), (list, need) => {
        const candidates = named(list);
        const choice = chooseVictims(need, candidates);
        const most = candidates.reduce((total, options) => total + Math.max(...options.map((one) => one.frees)), 0);
        expect(choice === null).toBe(most < need);
        if (!choice) return;
        isFair(choice, need);
        for (const spare of choice.options) {
          if (spare.costMs > 0) expect(choice.frees - spare.frees).toBeLessThan(need);
        }
      }),
    );
  });

  it('prefers one large cheap unit to many small dear ones, and freezing to stopping where that is enough', () => {
    const one = (unit: string, frees: number, costMs: number) => [{ unit, act: 'stop' as const, frees, costMs }];
    expect(chooseVictims(10, [one('a', 5, 4), one('b', 5, 4), one('c', 10, 7)])?.options).toMatchObject([
      { unit: 'c' },
    ]);
    const both = [
      { unit: 'd', act: 'freeze' as const, frees: 8, costMs: 1 },
      { unit: 'd', act: 'stop' as const, frees: 10, costMs: 9 },
    ];
    expect(chooseVictims(8, [both])?.options).toMatchObject([{ act: 'freeze' }]);
    expect(chooseVictims(9, [both])?.options).toMatchObject([{ act: 'stop' }]);
  });
});
