import { between, seeded, shuffled, weighted, whole, zipf as zipfWeights } from '../random.ts';
import type { Random } from '../random.ts';
import type { SimUnit, UnitsFile } from '../units.ts';
import type { Family } from './family.ts';
import { fleetOf, usualFleet } from './fleet.ts';
import { arrive, asking, principals, usualLoad, work } from './load.ts';
import type { Asking } from './load.ts';

/** Draws units by Zipf's law; now and then some change places, a few of them from the very end to the front. */
export function drifting(fleet: UnitsFile, every: number, random: Random): () => SimUnit {
  const ranks = shuffled(fleet.units, random);
  const draw = weighted(zipfWeights(ranks.length, between(0.7, 1.1, random)));
  let drawn = 0;
  const swap = (i: number, j: number) => {
    [ranks[i], ranks[j]] = [ranks[j] as SimUnit, ranks[i] as SimUnit];
  };
  return () => {
    if (++drawn % every === 0) {
      for (let n = 0; n < 4; n++) {
        const i = whole(0, ranks.length - 2, random);
        swap(i, i + 1);
      }
      if (random() < 0.5) swap(whole(0, Math.min(4, ranks.length - 1), random), whole(0, ranks.length - 1, random));
    }
    return ranks[draw(random)] as SimUnit;
  };
}

/** At random times over as long as it takes for the load to be that part of what the machine can do. */
export function spread(askings: readonly Asking[], fleet: UnitsFile, load: number, random: Random) {
  const horizon = work(askings, fleet) / load;
  const times = askings.map(() => random() * horizon).sort((a, b) => a - b);
  return askings.map((asked, i) => arrive(times[i] ?? 0, asked));
}

export function popularAskings(fleet: UnitsFile, count: number, random: Random): Asking[] {
  const next = drifting(fleet, Math.max(1, Math.round(count / whole(20, 60, random))), random);
  const who = principals(whole(5, 20, random), random);
  return Array.from({ length: count }, () => asking(next(), who(), random));
}

/** Popularity after Zipf that drifts; arrivals at random times. */
export const zipf: Family = (seed, { factor, arrivals }) => {
  const random = seeded(seed, 'zipf');
  const fleet = usualFleet(factor, random);
  const load = between(usualLoad.least, usualLoad.most, random);
  return { units: fleet, arrivals: spread(popularAskings(fleet, arrivals, random), fleet, load, random) };
};

/** As `zipf`, over few huge units, a quarter to nearly half of the limit each, and many small ones. */
export const sizes: Family = (seed, { factor, arrivals }) => {
  const random = seeded(seed, 'sizes');
  const huge = Math.max(2, Math.round((factor * between(0.3, 0.6, random)) / 0.35));
  const small = whole(40, 120, random);
  // In parts of the limit; what the huge ones leave is the small ones'.
  const large = Array.from({ length: huge }, () => between(0.25, 0.45, random));
  const rest = Math.max(0.5, factor - large.reduce((sum, size) => sum + size, 0));
  const little = Array.from({ length: small }, () => between(0.3, 1.7, random) * (rest / small));
  const fleet = fleetOf([...large, ...little], 2 ** 30 * whole(1, 4, random) * 16, factor, random);
  const load = between(usualLoad.least, usualLoad.most, random);
  return { units: fleet, arrivals: spread(popularAskings(fleet, arrivals, random), fleet, load, random) };
};
