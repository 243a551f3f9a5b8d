import { between, exponential, pick, seeded, whole } from '../random.ts';
import type { Arrival } from '../trace.ts';
import type { Family } from './family.ts';
import { usualFleet } from './fleet.ts';
import { arrive, asking, inOrder, work } from './load.ts';
import type { Asking } from './load.ts';
import { drifting, popularAskings, spread } from './popular.ts';

interface Burst {
  readonly askings: readonly Asking[];
  readonly lengthMs: number;
}

/** A quarter of the requests come as they come; the rest in bursts of 5 to 40 for one unit or two within a minute. */
export const bursts: Family = (seed, { factor, arrivals }) => {
  const random = seeded(seed, 'bursts');
  const fleet = usualFleet(factor, random);
  const calm = popularAskings(fleet, Math.round(arrivals / 4), random);
  const next = drifting(fleet, 10, random);
  const made: Burst[] = [];
  for (let count = calm.length; count < arrivals;) {
    const size = whole(5, 40, random);
    const units = random() < 0.7 ? [next()] : [next(), next()];
    const principal = `burst-${whole(1, 8, random)}`;
    const askings = Array.from({ length: size }, () => asking(pick(units, random), principal, random));
    made.push({ askings, lengthMs: between(2_000, 60_000, random) });
    count += size;
  }
  // Lower than elsewhere on average, as a burst is a multiple of it.
  const load = between(0.4, 0.7, random);
  const horizon = work([...calm, ...made.flatMap(({ askings }) => askings)], fleet) / load;
  const sent: Arrival[] = spread(calm, fleet, work(calm, fleet) / horizon, random);
  for (const { askings, lengthMs } of made) {
    let t = random() * horizon;
    for (const asked of askings) {
      sent.push(arrive(t, asked));
      t += exponential(lengthMs / askings.length, random);
    }
  }
  return { units: fleet, arrivals: inOrder(sent) };
};
