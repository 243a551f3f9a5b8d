import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createRolling } from './rolling.ts';

it('counts what a list of everything would count', () => {
  const told = fc.record({ kind: fc.nat(2), gap: fc.oneof(fc.nat(30), fc.nat(3_000)) });
  fc.assert(
    fc.property(fc.array(told, { maxLength: 200 }), (all) => {
      const rolling = createRolling(1_000, 3);
      const list: { readonly kind: number; readonly slice: number }[] = [];
      let now = 0;
      for (const { kind, gap } of all) {
        const slice = Math.floor((now += gap) / 100);
        rolling.add(kind, now);
        list.push({ kind, slice });
        for (const one of [0, 1, 2]) {
          expect(rolling.sum(one, now)).toBe(
            list.filter((other) => other.kind === one && other.slice > slice - 10).length,
          );
        }
      }
    }),
    { numRuns: 500 },
  );
});
