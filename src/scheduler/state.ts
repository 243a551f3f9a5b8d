import { Fault } from '#kernel/faults';
import type { UnitId, WaiterId } from '#kernel/ids';
import type { Failure, Phase, Reason, Settings, UnitSpec, Waiter } from './types.ts';

/** A waiter as it stands in its unit's queue. */
export interface Queued extends Waiter {
  /** The order of arrival over all units. */
  readonly seq: number;
  readonly since: number;
}

/** One line of the ledger. Written by `step` only. */
export interface Unit {
  spec: UnitSpec;
  phase: Phase;
  /** Why it is in its phase; while it is cold, why it stopped last. */
  reason: Reason;
  /** The starts that failed in a row, and the last one's message. */
  failure: Failure | null;
  pinned: boolean;
  /** Someone wants it ready who holds no place in the queue: `start`, or a caller who will come back. */
  intent: boolean;
  /** Its definition is gone: it goes too, once it is cold. */
  removed: boolean;
  /** A stop that waits for the last lease. */
  stopWanted: Reason | null;
  measuredBytes: number | null;
  learnedBytes: number | null;
  startMs: number | null;
  readonly waiters: Map<WaiterId, Queued>;
  readonly leases: Set<WaiterId>;
}

/** The whole account. Owned by one run-loop, changed by `step` alone. */
export interface State {
  readonly settings: Settings;
  limitBytes: number;
  seq: number;
  closing: boolean;
  /**
   * Nobody wants memory that is not there, and no more is charged than the limit allows. Found at the end of each
   * settling; while it holds, a grant on a ready unit and its release concern that unit alone.
   */
  calm: boolean;
  readonly units: Map<UnitId, Unit>;
}

export const createState = (settings: Settings, limitBytes: number): State => ({
  settings,
  limitBytes,
  seq: 0,
  closing: false,
  calm: true,
  units: new Map(),
});

export const createUnit = (spec: UnitSpec): Unit => ({
  spec,
  phase: { kind: 'cold' },
  reason: { code: 'never-asked' },
  failure: null,
  pinned: false,
  intent: false,
  removed: false,
  stopWanted: null,
  measuredBytes: null,
  learnedBytes: spec.learnedBytes,
  startMs: spec.startMs,
  waiters: new Map(),
  leases: new Set(),
});

export function unitOf(state: State, id: UnitId): Unit {
  const unit = state.units.get(id);
  if (!unit) throw new Fault('NOT_FOUND', `The scheduler knows no unit ${id}.`);
  return unit;
}

/** Bytes to reserve for the next start: the larger of what is declared and what was learned. */
export const reservationOf = (unit: Unit): number => Math.max(unit.spec.declaredBytes, unit.learnedBytes ?? 0);

/** Bytes the unit was admitted with; 0 while it holds none. */
export const reservedOf = (unit: Unit): number => ('bytes' in unit.phase ? unit.phase.bytes : 0);

/** Bytes it counts for: the reservation, or what it is seen to use where that is more. */
export const chargedOf = (unit: Unit): number =>
  'bytes' in unit.phase ? Math.max(unit.phase.bytes, unit.measuredBytes ?? 0) : 0;

/** Bytes that come back by themselves, from a unit that is stopping. */
export const incomingOf = (unit: Unit): number => (unit.phase.kind === 'stopping' ? chargedOf(unit) : 0);

export const isWanted = (unit: Unit): boolean =>
  !unit.removed && (unit.intent || unit.pinned || unit.spec.tier === 'core');

/** Why a unit is brought up: for its first waiter, or with nobody waiting because it is wanted. */
export function reasonFor(unit: Unit, head: Queued | undefined): Reason {
  if (head) return { code: 'asked', by: head.principal };
  return { code: 'wanted', because: unit.spec.tier === 'core' ? 'core' : unit.pinned ? 'pinned' : 'started' };
}

/** Sums over all units; a few dozen additions, so no running total can drift from the lines. */
export function sum(state: State, bytes: (unit: Unit) => number): number {
  let total = 0;
  for (const unit of state.units.values()) total += bytes(unit);
  return total;
}
