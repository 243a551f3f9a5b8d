import { between, pick, seeded, shuffled, whole } from '../random.ts';
import type { Arrival } from '../trace.ts';
import type { Family } from './family.ts';
import { usualFleet } from './fleet.ts';
import { arrive, asking, inOrder, usualLoad, work } from './load.ts';
import { popularAskings, spread } from './popular.ts';

export const flooder = 'flood';

/** Everyone asks as in `zipf`; one principal sends three requests of ten, in a few long floods, all to the same few units. */
export const flood: Family = (seed, { factor, arrivals }) => {
  const random = seeded(seed, 'flood');
  const fleet = usualFleet(factor, random);
  const others = popularAskings(fleet, Math.round(arrivals * 0.7), random);
  const few = shuffled(fleet.units, random).slice(0, whole(2, 4, random));
  const flooded = Array.from({ length: arrivals - others.length }, () => asking(pick(few, random), flooder, random));
  // Both together stay below what the machine can do.
  const load = between(usualLoad.least, usualLoad.most, random);
  const part = work(others, fleet) / work([...others, ...flooded], fleet);
  const calm = spread(others, fleet, load * part, random);
  const horizon = calm.at(-1)?.t ?? 0;
  const floods = whole(3, 6, random);
  const each = Math.ceil(flooded.length / floods);
  const sent: Arrival[] = [];
  for (let i = 0; i < floods; i++) {
    const length = horizon * between(0.03, 0.08, random);
    const start = random() * (horizon - length);
    for (const asked of flooded.slice(i * each, (i + 1) * each)) sent.push(arrive(start + random() * length, asked));
  }
  return { units: fleet, arrivals: inOrder([...calm, ...sent]) };
};

/** The same trace without what the flooder asked for. */
export const withoutFlood = (arrivals: readonly Arrival[]): Arrival[] =>
  arrivals.filter(({ principal }) => principal !== flooder);
