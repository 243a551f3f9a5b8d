import { touch } from './account.ts';
import { precedes } from './admit.ts';
import type { Blocked } from './admit.ts';
import { serveInTurn } from './cores.ts';
import { lease, thaw } from './moves.ts';
import { next } from './queue.ts';
import type { Queued } from './queue.ts';
import { isWanted, needOf, reasonFor, siblingsOf } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Effect } from './types.ts';

const anyone = (): boolean => true;

/** Says whether it served any that shares its queue with others. With `before` as `serve` does. */
export function serveAll(
  units: Iterable<Unit>,
  blocked: Blocked | null,
  state: State,
  now: number,
  effects: Effect[],
  before?: true,
): boolean {
  let shared = false;
  let computing: Unit[] | null = null;
  for (const unit of units) {
    if (computes(unit)) (computing ??= []).push(unit);
    else if (serve(unit, blocked, state, now, effects, before) && isShared(unit)) shared = true;
  }
  if (computing === null && state.cores.waiting.size === 0) return shared;
  return serveComputing(computing ?? [], blocked, state, now, effects, before) || shared;
}

const computes = ({ phase, threads }: Unit): boolean => phase.kind === 'ready' && threads > 0;
const isShared = ({ original, copies }: Unit): boolean => original !== null || copies.length > 0;

/** Those that take cores have one order over all of them. Who waited for some before is looked at each time. */
function serveComputing(
  touched: readonly Unit[],
  blocked: Blocked | null,
  state: State,
  now: number,
  effects: Effect[],
  before?: true,
): boolean {
  const { waiting } = state.cores;
  const units = new Set(touched);
  if (!before) {
    for (const unit of waiting) if (computes(unit)) units.add(unit);
    waiting.clear();
  }
  const may = (unit: Unit, waiter: Queued): boolean =>
    !blocked || !(before ?? state.held.has(unit)) || precedes(waiter, blocked.claim);
  const served = new Set<Unit>();
  const left = serveInTurn([...units], may, state, (unit, { id }) => {
    next(unit.queue, state.settings.ageingMs, now);
    lease(unit, id, now, effects);
    served.add(unit);
  });
  if (!before) for (const unit of left) waiting.add(unit);
  let shared = false;
  for (const unit of served) {
    for (const one of siblingsOf(unit)) touch(state, one);
    if (isShared(unit)) shared = true;
  }
  return shared;
}

/** Says whether it served anybody. With `before`, only those whose turn is before the blocked claim's; else that is so of held units alone. */
function serve(
  unit: Unit,
  blocked: Blocked | null,
  state: State,
  now: number,
  effects: Effect[],
  before = state.held.has(unit),
): boolean {
  const may = blocked && before ? (waiter: Queued) => precedes(waiter, blocked.claim) : anyone;
  const { kind } = unit.phase;
  const head = unit.queue.line[0];
  if (kind === 'frozen') {
    // What nobody waits for by name has its turn after everyone who waits.
    const due = head && unit.original === null ? may(head) : isWanted(unit) && !(blocked && before);
    if (needOf(unit) <= 0 && due) {
      thaw(unit, reasonFor(unit, unit.original === null ? head : undefined), state, now, effects);
    }
    return false;
  }
  if (kind !== 'ready' || unit.stopWanted || !head) return false;
  let served = false;
  for (let first: Queued | undefined = head; first && unit.leases.size < unit.spec.slots && may(first);) {
    next(unit.queue, state.settings.ageingMs, now);
    lease(unit, first.id, now, effects);
    served = true;
    first = unit.queue.line[0];
  }
  // The queue is shorter for all of them.
  if (served) for (const one of siblingsOf(unit)) touch(state, one);
  return served;
}
