import type { UnitId } from '#kernel/ids';

/**
 * What somebody asks for soon after something else: for each principal how often each unit followed each other one. A
 * first-order Markov chain, in which newer requests weigh more.
 */
export interface Follows {
  /** Those who asked last come last. */
  readonly askers: Map<string, Asker>;
}

export interface Asker {
  last: UnitId | null;
  lastAt: number;
  /** The contexts: what came after each unit. Those that came up last come last. */
  readonly after: Map<UnitId, Successors>;
  /** What it is expected to ask for next; null when nothing is likelier than everything else together. */
  expected: Expected | null;
}

export interface Successors {
  readonly weights: Map<UnitId, number>;
  /** How often it came up: also before what is not remembered by name, and before long pauses. */
  total: number;
}

export interface Expected {
  readonly unit: UnitId;
  readonly chance: number;
}

/** Bounds on what is remembered: principals, contexts of each, and units that may follow in each. */
const bounds = { askers: 256, contexts: 64, successors: 8 };
/** What came before counts nine tenths of what came after it. */
const decay = 0.9;
/** So many requests for something that nobody knows count beside those that were seen. */
const unseen = 1.5;
/** What comes later than that, in milliseconds, does not follow: it would be held ready for too long. */
export const soonMs = 2 * 60_000;
/** Less than an even chance is no expectation. */
const leastChance = 0.5;

export const createFollows = (): Follows => ({ askers: new Map() });

/** Writes down that the principal asks for the unit. */
export function noteAsked(follows: Follows, principal: string, unit: UnitId, now: number): Asker {
  const asker = touched(follows.askers, principal, bounds.askers, createAsker);
  if (asker.last !== null) {
    noteNext(
      touched(asker.after, asker.last, bounds.contexts, () => ({ weights: new Map<UnitId, number>(), total: 0 })),
      now - asker.lastAt <= soonMs ? unit : null,
    );
  }
  asker.lastAt = now;
  asker.last = unit;
  asker.expected = expectedAfter(asker.after.get(unit));
  return asker;
}

export const createAsker = (): Asker => ({ last: null, lastAt: 0, after: new Map(), expected: null });

/** The entry, moved to the end; made where it is not there, in the place of the one that was not used for longest. */
function touched<K, V>(map: Map<K, V>, key: K, most: number, make: () => V): V {
  const value = map.get(key) ?? make();
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value as K);
  return value;
}

function noteNext(successors: Successors, unit: UnitId | null): void {
  const { weights } = successors;
  for (const [id, weight] of weights) weights.set(id, weight * decay);
  successors.total = successors.total * decay + 1;
  if (unit === null) return;
  weights.set(unit, (weights.get(unit) ?? 0) + 1);
  if (weights.size > bounds.successors) forgetRarest(weights);
}

function forgetRarest(weights: Map<UnitId, number>): void {
  let rarest: UnitId | null = null;
  let least = Infinity;
  for (const [id, weight] of weights) {
    if (weight >= least) continue;
    least = weight;
    rarest = id;
  }
  if (rarest) weights.delete(rarest);
}

function expectedAfter(successors: Successors | undefined): Expected | null {
  if (!successors) return null;
  const needed = leastChance * (successors.total + unseen);
  for (const [unit, weight] of successors.weights) {
    if (weight >= needed) return { unit, chance: weight / (successors.total + unseen) };
  }
  return null;
}
