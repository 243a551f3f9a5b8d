import { touch } from './account.ts';
import { precedes } from './admit.ts';
import type { Blocked } from './admit.ts';
import type { Claim } from './claims.ts';
import { serveInTurn } from './cores.ts';
import { lease, thaw } from './moves.ts';
import { next } from './queue.ts';
import type { Queued } from './queue.ts';
import { isWanted, needOf, reasonFor, siblingsOf } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Effect } from './types.ts';

/** What one going round of those that serve goes by. */
export interface Round {
  readonly state: State;
  readonly blocked: Blocked | null;
  /** Only those are served whose turn is before the blocked claim's; without it that is so of held units alone. */
  readonly before: boolean;
  readonly now: number;
  readonly effects: Effect[];
}

export function serveAll(units: Iterable<Unit>, round: Round): void {
  let computing: Unit[] | null = null;
  for (const unit of units) {
    if (computes(unit)) (computing ??= []).push(unit);
    else serve(unit, round);
  }
  if (computing !== null || round.state.cores.waiting.size > 0) serveComputing(computing ?? [], round);
}

const computes = ({ phase, threads }: Unit): boolean => phase.kind === 'ready' && threads > 0;

/** The claim whose turn comes before what the unit may serve; null when it may serve anybody. */
const claimBefore = (unit: Unit, { state, blocked, before }: Round): Claim | null =>
  blocked !== null && (before || state.held.has(unit)) ? blocked.claim : null;

function mayServe(unit: Unit, waiter: Queued, round: Round): boolean {
  const claim = claimBefore(unit, round);
  return claim === null || precedes(waiter, claim);
}

/** Those that take cores have one order over all of them. Who waited for some before is looked at each time. */
function serveComputing(touched: readonly Unit[], round: Round): void {
  const { state, before, now, effects } = round;
  const { waiting } = state.cores;
  const units = new Set(touched);
  if (!before) {
    for (const unit of waiting) if (computes(unit)) units.add(unit);
    waiting.clear();
  }
  const may = (unit: Unit, waiter: Queued): boolean => mayServe(unit, waiter, round);
  const served = new Set<Unit>();
  const left = serveInTurn([...units], may, state, (unit, { id }) => {
    next(unit.queue, state.settings.ageingMs, now);
    lease(unit, id, now, effects);
    served.add(unit);
  });
  if (!before) for (const unit of left) waiting.add(unit);
  for (const unit of served) for (const one of siblingsOf(unit)) touch(state, one);
}

function serve(unit: Unit, round: Round): void {
  const { state, now, effects } = round;
  const { kind } = unit.phase;
  const head = unit.queue.line[0];
  if (kind === 'frozen') {
    // What nobody waits for by name has its turn after everyone who waits.
    const due =
      head && unit.original === null
        ? mayServe(unit, head, round)
        : isWanted(unit) && claimBefore(unit, round) === null;
    if (needOf(unit) <= 0 && due) {
      thaw(unit, reasonFor(unit, unit.original === null ? head : undefined), state, now, effects);
    }
    return;
  }
  if (kind !== 'ready' || unit.stopWanted || !head) return;
  let served = false;
  for (
    let first: Queued | undefined = head;
    first && unit.leases.size < unit.spec.slots && mayServe(unit, first, round);
  ) {
    next(unit.queue, state.settings.ageingMs, now);
    lease(unit, first.id, now, effects);
    served = true;
    first = unit.queue.line[0];
  }
  // The queue is shorter for all of them.
  if (served) for (const one of siblingsOf(unit)) touch(state, one);
}
