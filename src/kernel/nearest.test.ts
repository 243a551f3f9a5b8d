import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { didYouMean, distance, nearest } from './nearest.ts';

const word = fc.stringMatching(/^[a-d]{0,8}$/);

describe('distance', () => {
  it.each([
    ['', '', 0],
    ['memry', 'memory', 1],
    ['mmeory', 'memory', 1],
    ['kitten', 'sitting', 3],
    ['ca', 'abc', 3],
  ])('of %s and %s', (a, b, wanted) => expect(distance(a, b)).toBe(wanted));

  it('is zero only for equals, the same both ways, and between the difference and the larger of the lengths', () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        const d = distance(a, b);
        expect(d === 0).toBe(a === b);
        expect(distance(b, a)).toBe(d);
        expect(d).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
        expect(d).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });

  it('counts one for one wrong, lost, added or swapped letter', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{2,10}$/), fc.nat(), fc.nat(3), (name, at, how) => {
        const i = at % (name.length - 1);
        const typos = [
          `${name.slice(0, i)}9${name.slice(i + 1)}`,
          name.slice(0, i) + name.slice(i + 1),
          `${name.slice(0, i)}9${name.slice(i)}`,
          `${name.slice(0, i)}${name[i + 1]}${name[i]}${name.slice(i + 2)}`,
        ];
        expect(distance(name, typos[how] as string)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('nearest', () => {
  it('finds what was meant, best first', () => {
    expect(nearest('memry', ['cpu', 'memory', 'gpu', 'concurrency'])).toEqual(['memory']);
    expect(nearest('smollm', ['qwen3:0.6b', 'smollm2:135m'])).toEqual(['smollm2:135m']);
    expect(nearest('Chroma', ['chrome', 'chroma'])).toEqual(['chroma', 'chrome']);
  });

  it('suggests nothing for what resembles nothing', () => {
    expect(nearest('zzz', ['chroma', 'node-red'])).toEqual([]);
    expect(nearest('x', ['a', 'id'])).toEqual([]);
    expect(nearest('provides', ['id'])).toEqual([]);
    expect(nearest('', ['id'])).toEqual([]);
  });

  it('answers at once for a name a megabyte long', () => {
    const names = Array.from({ length: 200 }, (_, i) => `model-${i}:7b`);
    const before = performance.now();
    expect(nearest('z'.repeat(1_000_000), names)).toEqual([]);
    expect(performance.now() - before).toBeLessThan(1_000);
  });

  it('gives at most the limit, only given names, none twice', () => {
    fc.assert(
      fc.property(word, fc.uniqueArray(word), fc.integer({ min: 0, max: 4 }), (wrong, names, limit) => {
        const found = nearest(wrong, names, limit);
        expect(found.length).toBeLessThanOrEqual(limit);
        expect(new Set(found).size).toBe(found.length);
        expect(found.every((name) => names.includes(name))).toBe(true);
      }),
    );
  });
});

it('ends a sentence, or adds nothing to it', () => {
  expect(didYouMean('memry', ['memory'])).toBe(' Did you mean memory?');
  expect(didYouMean('zzz', ['memory'])).toBe('');
});
