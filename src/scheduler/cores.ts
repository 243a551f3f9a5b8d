import type { Queued, State, Unit } from './state.ts';

/**
 * The account of the processor. A unit that computes takes its threads with its first lease and gives them back with its
 * last: so those that are busy at once never have more threads than there are cores, but for one that has more by itself.
 */
export interface Cores {
  /** Threads that may be busy at once. Infinite until somebody says how many cores there are. */
  total: number;
  /** Those of the units that hold leases. */
  busy: number;
  /** Ready units with waiters that wait for cores, or behind one that does. Found anew at each settling. */
  readonly waiting: Set<Unit>;
}

export const createCores = (): Cores => ({ total: Infinity, busy: 0, waiting: new Set() });

/** Keeps the sum. Whoever gives or takes back a lease calls it. */
export function bookThreads({ cores }: State, unit: Unit): void {
  const threads = unit.leases.size > 0 ? unit.threads : 0;
  if (threads === unit.booked.threads) return;
  cores.busy += threads - unit.booked.threads;
  unit.booked.threads = threads;
}

/** Whether the unit's threads are taken already, or can be. One that has the machine to itself may have more than it. */
export const hasCores = ({ leases, threads }: Unit, { cores }: State): boolean =>
  leases.size > 0 || cores.busy === 0 || cores.busy + threads <= cores.total;

/** The same for somebody who asks now: nobody overtakes those who wait. */
export const hasCoresAtOnce = (unit: Unit, state: State): boolean =>
  unit.threads === 0 || (state.cores.waiting.size === 0 && hasCores(unit, state));

export type May = (unit: Unit, waiter: Queued) => boolean;

/**
 * Serves the waiters of units that compute, one after the other in their turn over all of them: those who waited past the
 * bound, then by class, then as they came. It ends at the first whose unit has to wait for cores: nobody behind it takes any,
 * and busy units take no more work of those behind it, so that they end some time. Returns the units whose waiters are left.
 */
export function serveInTurn(
  units: readonly Unit[],
  may: May,
  state: State,
  serve: (unit: Unit, waiter: Queued) => void,
): readonly Unit[] {
  for (;;) {
    const unit = firstInTurn(units, may);
    const head = unit?.queue.line[0];
    if (!unit || !head) return [];
    if (!hasCores(unit, state)) return units.filter((one) => canServe(one, may));
    serve(unit, head);
    bookThreads(state, unit);
  }
}

function canServe(unit: Unit, may: May): boolean {
  const head = unit.queue.line[0];
  if (unit.phase.kind !== 'ready' || unit.stopWanted || head === undefined) return false;
  return unit.leases.size < unit.spec.slots && may(unit, head);
}

function firstInTurn(units: readonly Unit[], may: May): Unit | null {
  let first: Unit | null = null;
  for (const unit of units) if (canServe(unit, may) && (first === null || isBefore(unit, first))) first = unit;
  return first;
}

/** Of copies, which have one queue, the busy one goes on before another begins. */
function isBefore(a: Unit, b: Unit): boolean {
  const [one, other] = [a.queue.line[0], b.queue.line[0]];
  if (!one || !other) return false;
  return (one.rank - other.rank || one.seq - other.seq || b.leases.size - a.leases.size) < 0;
}

/** The one that everybody waits behind: the first in turn of those without cores. Null when nobody waits for any. */
export function firstWithoutCores({ cores }: State): Unit | null {
  let first: Unit | null = null;
  for (const unit of cores.waiting) if (unit.leases.size === 0 && (!first || isBefore(unit, first))) first = unit;
  return first;
}
