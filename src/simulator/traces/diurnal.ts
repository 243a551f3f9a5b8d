import { between, exponential, pick, seeded, shuffled, weighted, whole, zipf } from '../random.ts';
import type { Random } from '../random.ts';
import type { Arrival } from '../trace.ts';
import type { SimUnit } from '../units.ts';
import type { Family } from './family.ts';
import { usualFleet } from './fleet.ts';
import { arrive, asking, inOrder } from './load.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

interface Person {
  readonly name: string;
  /** When the day begins, and for how long it lasts; hours. */
  readonly wakes: number;
  readonly awake: number;
  /** What they use, the favourite first. */
  readonly units: readonly SimUnit[];
}

function makePerson(i: number, units: readonly SimUnit[], random: Random): Person {
  // Most keep office hours, so that there is a rush; some are up at night.
  const late = random() < 0.15;
  return {
    name: `person-${i + 1}`,
    wakes: late ? between(17, 21, random) : between(7, 10, random),
    awake: between(5, 10, random),
    units: shuffled(units, random).slice(0, whole(3, 10, random)),
  };
}

/**
 * Day and night over two to four days of 24 h: people sit down now and then in their hours of the day, open a unit they
 * like and ask it for something several times in a row.
 */
export const diurnal: Family = (seed, { factor, arrivals }) => {
  const random = seeded(seed, 'diurnal');
  const fleet = usualFleet(factor, random);
  const days = whole(2, 4, random);
  const count = whole(8, 16, random);
  const people = Array.from({ length: count }, (_, i) => makePerson(i, fleet.units, random));
  const made: Arrival[] = [];
  while (made.length < arrivals) made.push(...session(pick(people, random), whole(0, days - 1, random), random));
  return { units: fleet, arrivals: inOrder(made) };
};

function session(person: Person, day: number, random: Random): Arrival[] {
  // Two hours of the day are busier than the others: in the morning, and after lunch.
  const part = random() < 0.5 ? pick([0.1, 0.6], random) + random() * 0.1 : random();
  let t = day * dayMs + (person.wakes + part * person.awake) * hourMs;
  const draw = weighted(zipf(person.units.length, 1));
  let unit = person.units[draw(random)] as SimUnit;
  const requests = whole(3, 25, random);
  return Array.from({ length: requests }, () => {
    if (random() < 0.15) unit = person.units[draw(random)] as SimUnit;
    const asked = asking(unit, person.name, random);
    const arrival = arrive(t, asked);
    t += asked.serviceMs + exponential(25_000, random);
    return arrival;
  });
}
