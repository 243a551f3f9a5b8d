import type { Queued, State, Unit } from './state.ts';
import { isWanted, reservedOf } from './state.ts';
import type { WaiterClass } from './types.ts';

const rank: Readonly<Record<WaiterClass, number>> = { interactive: 0, default: 1, batch: 2 };

/** One sum for both who asks and who wakes: `now - since >= ageing` may differ from it by a rounding, and wake nobody. */
export const agesAt = (waiter: Queued, state: State): number => waiter.since + state.settings.ageingMs;

const isAged = (waiter: Queued, state: State, now: number): boolean => now >= agesAt(waiter, state);

/** Who goes first: those who waited past the bound in the order they came, then by class, then in the order they came. */
export const byTurn =
  (state: State, now: number) =>
  (a: Queued, b: Queued): number => {
    const agedA = isAged(a, state, now);
    const agedB = isAged(b, state, now);
    if (agedA !== agedB) return agedA ? -1 : 1;
    return (agedA ? 0 : rank[a.class] - rank[b.class]) || a.seq - b.seq;
  };

/** The waiter of a unit whose turn is next, without sorting the whole queue. */
export function headOf(unit: Unit, state: State, now: number): Queued | undefined {
  const before = byTurn(state, now);
  let head: Queued | undefined;
  for (const waiter of unit.waiters.values()) if (!head || before(waiter, head) < 0) head = waiter;
  return head;
}

/** A unit that needs memory before it can serve whoever waits for it. */
export interface Claim {
  readonly unit: Unit;
  /** Undefined for one that is only wanted: core, pinned or started by hand. */
  readonly head: Queued | undefined;
  /** Nobody overtakes it any more. Core units don't wait for that: they are always on. */
  readonly aged: boolean;
}

/** The units that want memory, in the order in which they get it: core, then by their first waiter, then the merely wanted. */
export function claims(state: State, now: number): Claim[] {
  const found: Claim[] = [];
  for (const unit of state.units.values()) {
    if (unit.phase.kind !== 'cold' || unit.removed) continue;
    const head = headOf(unit, state, now);
    if (!head && !isWanted(unit)) continue;
    const aged = unit.spec.tier === 'core' || (head !== undefined && isAged(head, state, now));
    found.push({ unit, head, aged });
  }
  const turn = byTurn(state, now);
  return found.sort((a, b) => {
    const core = Number(b.unit.spec.tier === 'core') - Number(a.unit.spec.tier === 'core');
    if (core !== 0) return core;
    if (a.head && b.head) return turn(a.head, b.head);
    return Number(a.head === undefined) - Number(b.head === undefined) || b.unit.spec.priority - a.unit.spec.priority;
  });
}

/** The place of a waiter in its unit's queue, counted from 1; null once it does not wait any more. */
export function positionOf(unit: Unit, waiter: Queued['id'], state: State, now: number): number | null {
  const self = unit.waiters.get(waiter);
  if (!self) return null;
  const before = byTurn(state, now);
  let position = 1;
  for (const other of unit.waiters.values()) if (before(other, self) < 0) position++;
  return position;
}

/** How many units go before this one for memory. 0 when it holds its memory already or is the next. */
export function unitsBefore(unit: Unit, state: State, now: number): number {
  if (reservedOf(unit) > 0) return 0;
  return Math.max(
    0,
    claims(state, now).findIndex((claim) => claim.unit === unit),
  );
}
