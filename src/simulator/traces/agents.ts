import { between, exponential, pick, seeded, shuffled, whole } from '../random.ts';
import type { Random } from '../random.ts';
import type { SimUnit, UnitsFile } from '../units.ts';
import type { Family } from './family.ts';
import { usualFleet } from './fleet.ts';
import { anyUnit, arrive, asking, inOrder, usualLoad, work } from './load.ts';
import type { Asking } from './load.ts';

interface Agent {
  readonly name: string;
  /** What it asks in turn: A B A B, or a longer round such as planner, coder, tester. */
  readonly chain: readonly SimUnit[];
  /** Between an answer and the next question, on average. */
  readonly thinkMs: number;
}

interface Step {
  readonly asked: Asking;
  /** After the beginning of its session. */
  readonly afterMs: number;
}

function makeAgent(i: number, fleet: UnitsFile, random: Random): Agent {
  const chain = shuffled(fleet.units, random).slice(0, pick([2, 2, 2, 3, 4], random));
  return { name: `agent-${i + 1}`, chain, thinkMs: between(500, 15_000, random) };
}

/** The steps of one task; now and then one asks for something else. */
function session({ name, chain, thinkMs }: Agent, fleet: UnitsFile, random: Random): Step[] {
  let afterMs = 0;
  return Array.from({ length: whole(8, 50, random) }, (_, i) => {
    const unit = random() < 0.9 ? (chain[i % chain.length] as SimUnit) : anyUnit(fleet, random);
    const asked = asking(unit, name, random);
    const step = { asked, afterMs };
    afterMs += asked.serviceMs + exponential(thinkMs, random);
    return step;
  });
}

/** Agents that alternate between models, several at once: what usually follows what can be learned. */
export const agents: Family = (seed, { factor, arrivals }) => {
  const random = seeded(seed, 'agents');
  const fleet = usualFleet(factor, random);
  const team = Array.from({ length: whole(5, 14, random) }, (_, i) => makeAgent(i, fleet, random));
  const sessions: Step[][] = [];
  for (let count = 0; count < arrivals;) {
    const steps = session(pick(team, random), fleet, random);
    sessions.push(steps);
    count += steps.length;
  }
  const load = between(usualLoad.least, usualLoad.most, random);
  const horizon =
    work(
      sessions.flatMap((steps) => steps.map(({ asked }) => asked)),
      fleet,
    ) / load;
  const made = sessions.flatMap((steps) => {
    const start = random() * horizon;
    return steps.map(({ asked, afterMs }) => arrive(start + afterMs, asked));
  });
  return { units: fleet, arrivals: inOrder(made) };
};
