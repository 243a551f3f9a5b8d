import { mulberry32 } from '#kernel/random';
import type { Random } from '#kernel/random';

export { mulberry32 };
export type { Random };

/** For the same seed every family has units and a load of its own. */
export function seeded(seed: number, name: string): Random {
  // FNV-1a
  let hash = 0x811c9dc5;
  for (const letter of `${name} ${seed}`) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  return mulberry32(hash);
}

export const between = (least: number, most: number, random: Random): number => least + random() * (most - least);

export const whole = (least: number, most: number, random: Random): number =>
  least + Math.floor(random() * (most - least + 1));

export const exponential = (mean: number, random: Random): number => -mean * Math.log(1 - random());

/** Box and Muller's: mean 0, deviation 1. */
export const normal = (random: Random): number =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

export const logNormal = (median: number, sigma: number, random: Random): number =>
  median * Math.exp(sigma * normal(random));

export function shuffled<T>(list: readonly T[], random: Random): T[] {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = whole(0, i, random);
    [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
  }
  return copy;
}

export const pick = <T>(list: readonly T[], random: Random): T => list[Math.floor(random() * list.length)] as T;

/** Draws an index, each with a chance in proportion to its weight. */
export function weighted(weights: readonly number[]): (random: Random) => number {
  const sums: number[] = [];
  let total = 0;
  for (const weight of weights) sums.push((total += weight));
  return (random) => {
    const at = random() * total;
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) > at) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

/** The weights of Zipf's law: the i-th most popular of `count` is asked for 1 / i^s as often as the first. */
export const zipf = (count: number, s: number): number[] => Array.from({ length: count }, (_, i) => (i + 1) ** -s);
