/** One way to free bytes, and what it is expected to cost. Milliseconds of somebody's waiting. */
export interface Option<T> {
  readonly unit: T;
  readonly act: 'freeze' | 'stop';
  readonly frees: number;
  /** The graphics card whose bytes these are; without it they are of main memory. */
  readonly device?: string;
  readonly costMs: number;
}

/** What can be done with one unit: at most one of its options is taken. */
export type Candidate<T> = readonly Option<T>[];

export interface Choice<T> {
  readonly options: readonly Option<T>[];
  readonly costMs: number;
  readonly frees: number;
}

/** Up to so many candidates the choice is the best there is; of more, the most promising ones are searched. */
const exactly = 12;
/** Looks of the search, so that its time is bounded: some tens of microseconds. */
const patience = 4_000;

/**
 * The options that free at least `need` bytes for the least cost, one a unit: a knapsack turned around. Exact for few
 * candidates (branch and bound over all of them); of many the densest are searched, and the outcome is never worse than
 * the greedy one. Null when all of them together would not do.
 */
export function chooseVictims<T>(need: number, candidates: readonly Candidate<T>[]): Choice<T> | null {
  let most = 0;
  for (const options of candidates) most += mostOf(options);
  if (most < need) return null;
  if (need <= 0) return { options: [], costMs: 0, frees: 0 };
  const promising = candidates.length <= exactly ? candidates : densest(candidates, need);
  let within = 0;
  for (const options of promising) within += mostOf(options);
  const seed = greedy(need, within < need ? candidates : promising);
  return within < need ? seed : search(need, promising, seed);
}

function mostOf<T>(options: Candidate<T>): number {
  let most = 0;
  for (const { frees } of options) if (frees > most) most = frees;
  return most;
}

/** Cost for each byte that is of use. */
const density = <T>({ costMs, frees }: Option<T>, need: number): number => costMs / Math.min(frees, need);

function densityOf<T>(options: Candidate<T>, need: number): number {
  let least = Infinity;
  for (const option of options) least = Math.min(least, density(option, need));
  return least;
}

/** The most promising candidates, without sorting all of them. */
function densest<T>(candidates: readonly Candidate<T>[], need: number): Candidate<T>[] {
  const best: Candidate<T>[] = [];
  const keys: number[] = [];
  for (const candidate of candidates) {
    const key = densityOf(candidate, need);
    if (best.length === exactly && key >= (keys[exactly - 1] ?? 0)) continue;
    let at = best.length;
    while (at > 0 && (keys[at - 1] ?? 0) > key) at--;
    best.splice(at, 0, candidate);
    keys.splice(at, 0, key);
    if (best.length > exactly) {
      best.pop();
      keys.pop();
    }
  }
  return best;
}

const choiceOf = <T>(options: readonly Option<T>[]): Choice<T> => ({
  options,
  costMs: options.reduce((total, { costMs }) => total + costMs, 0),
  frees: options.reduce((total, { frees }) => total + frees, 0),
});

/** By density; what a later one makes superfluous is let live again. */
function greedy<T>(need: number, candidates: readonly Candidate<T>[]): Choice<T> {
  const options = candidates.flat().sort((a, b) => density(a, need) - density(b, need));
  const chosen = new Map<T, Option<T>>();
  let frees = 0;
  for (const option of options) {
    if (frees >= need) break;
    const before = chosen.get(option.unit)?.frees ?? 0;
    if (option.frees <= before) continue;
    chosen.set(option.unit, option);
    frees += option.frees - before;
  }
  for (const option of [...chosen.values()].sort((a, b) => b.costMs - a.costMs)) {
    if (frees - option.frees < need) continue;
    chosen.delete(option.unit);
    frees -= option.frees;
  }
  return choiceOf([...chosen.values()]);
}

/** Branch and bound from a first choice: a branch is left when even at its best density it could not be cheaper. */
function search<T>(need: number, candidates: readonly Candidate<T>[], seed: Choice<T>): Choice<T> {
  const list = [...candidates].sort((a, b) => densityOf(a, need) - densityOf(b, need));
  const most: number[] = [];
  const leastDensity: number[] = [];
  for (let i = list.length - 1, sum = 0, least = Infinity; i >= 0; i--) {
    const options = list[i] ?? [];
    sum += mostOf(options);
    for (const { costMs, frees } of options) least = Math.min(least, costMs / frees);
    most[i] = sum;
    leastDensity[i] = least;
  }
  const taken: Option<T>[] = [];
  let best = seed.options;
  let bestCost = seed.costMs;
  let looks = 0;
  const look = (i: number, missing: number, cost: number): void => {
    if (missing <= 0) {
      if (cost >= bestCost) return;
      best = [...taken];
      bestCost = cost;
      return;
    }
    if ((most[i] ?? 0) < missing || ++looks > patience) return;
    if (cost + missing * (leastDensity[i] ?? 0) >= bestCost) return;
    for (const option of list[i] ?? []) {
      taken.push(option);
      look(i + 1, missing - option.frees, cost + option.costMs);
      taken.pop();
    }
    look(i + 1, missing, cost);
  };
  look(0, need, 0);
  return choiceOf(best);
}
