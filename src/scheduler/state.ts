import { Fault } from '#kernel/faults';
import { replicaId } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import { createArrivals } from './arrivals.ts';
import type { Arrivals } from './arrivals.ts';
import type { ClaimKey } from './claims.ts';
import { createForecast } from './forecast.ts';
import type { Forecast } from './forecast.ts';
import { createHeap } from './heap.ts';
import type { Entry, Heap } from './heap.ts';
import { createPace, createStretch } from './pace.ts';
import type { Pace, Stretch } from './pace.ts';
import { createQueue } from './queue.ts';
import type { Queue, Queued } from './queue.ts';
import { createTurns } from './turns.ts';
import type { Turns } from './turns.ts';
import type { Blocked } from './admit.ts';
import { createCores } from './cores.ts';
import type { Cores } from './cores.ts';
import type { Device } from './devices.ts';
import { oneReplica } from './types.ts';
import type { Failure, Phase, PressureLevel, Reason, Settings, UnitSpec, Vram } from './types.ts';

export type { Queued } from './queue.ts';

/** One line of the ledger. Written by `step` only. */
export interface Unit {
  spec: UnitSpec;
  /** Of its coming into the account; no two units have the same. */
  readonly order: number;
  /** The unit that this is a copy of; null for that one. All of them have one queue. */
  readonly original: Unit | null;
  /** The copies of this one, in their order. */
  copies: readonly Unit[];
  /** For a copy: it does not go to sleep by itself while the first runs. */
  kept: boolean;
  phase: Phase;
  /** Why it is in its phase; while it is cold, why it stopped last. */
  reason: Reason;
  /** The starts that failed in a row, and the last one's message. */
  failure: Failure | null;
  pinned: boolean;
  /** What its last caller asked for in place of its idle time, for as long as this instance lives; null for nothing. */
  keepMs: number | null;
  /** Someone wants it ready who holds no place in the queue: `start`, or a caller who will come back. */
  intent: boolean;
  /** Its definition is gone: it goes too, once it is cold. */
  removed: boolean;
  /** A stop that waits for the last lease. */
  stopWanted: Reason | null;
  measuredBytes: number | null;
  learnedBytes: number | null;
  /** The most that the present instance was seen to use, and whether anybody used it: then that says what it needs. */
  peakBytes: number | null;
  worked: boolean;
  /** The name under which the present instance's memory is learned: that of when it began. */
  runsAs: string;
  /** What it holds on a graphics card, and what is known of that. */
  readonly card: Card;
  /** Threads of the present instance: those it was started with. */
  threads: number;
  /** What it was seen to hold while frozen. */
  frozenBytes: number | null;
  startMs: number | null;
  thawMs: number | null;
  readonly queue: Queue;
  readonly waiters: ReadonlyMap<WaiterId, Queued>;
  /** With the time of each. */
  readonly leases: Map<WaiterId, number>;
  /** What is open beyond its lease, by the lease under which it was begun. */
  readonly connections: Set<WaiterId>;
  /** How long a lease is held, smoothed over all copies; null before the first ended. Milliseconds. */
  holdMs: number | null;
  readonly arrivals: Arrivals;
  /** Shared by all copies; learned only where there are any. */
  readonly pace: Pace;
  readonly stretch: Stretch;
  /** It was brought up though nobody asked for it, and nobody has since; `until`: it stays so long, if nobody needs its memory. */
  guessed: { readonly since: number; readonly until: number; readonly bytes: number } | null;
  /** What `account.ts` derived from the fields above, when it looked last. */
  readonly booked: Booked;
}

/** Bytes. `held`: what the present instance was admitted with; null where it is on no card. */
export interface Card {
  held: Vram | null;
  measured: number | null;
  /** The most that the present instance was seen to hold. */
  peak: number | null;
  learned: number | null;
}

export interface Booked {
  charged: number;
  incoming: number;
  fixed: number;
  /** The card on which it counts, and for what. */
  device: string | null;
  readonly vram: { charged: number; incoming: number; fixed: number };
  threads: number;
  idle: boolean;
  /** Of those who wait; kept at the first of the unit and its copies. */
  first: Queued | null;
  claim: ClaimKey | null;
  /** What its claim counts for in the backlog; ms. */
  backlogMs: number;
  /** When it was due last. */
  lookedAt: number;
  /** The time at which the unit is looked at although nothing happens. */
  dueAt: number;
}

/** In what time the unit will be asked for next; milliseconds. Who has it knows the future: the simulator alone. */
export type Foresight = (unit: UnitId, now: number) => number;

export interface Due extends Entry {
  readonly unit: Unit;
}

/** The whole account. Owned by one run-loop, changed by `step` alone. */
export interface State {
  settings: Settings;
  limitBytes: number;
  seq: number;
  closing: boolean;
  pressure: PressureLevel;
  /** Pressure was told of and nothing was given up for it yet. */
  relief: boolean;
  readonly units: Map<UnitId, Unit>;
  /** Sums over the units' lines, kept up by `account.ts`; bytes. */
  readonly totals: { charged: number; incoming: number; fixed: number };
  /** Graphics cards by their names; empty where there is none. */
  readonly devices: Map<string, Device>;
  readonly cores: Cores;
  /** The units that hold memory. */
  readonly awake: Set<Unit>;
  /** Of those that nobody works with, not protected: the ones idle or frozen for longest come first. */
  readonly idle: { readonly ready: Set<Unit>; readonly frozen: Set<Unit> };
  /** The units that want memory, in the order in which they get it. */
  readonly claims: Unit[];
  /** How long the claims would keep the machine, one after the other; ms. Kept up by `claims.ts`. */
  backlogMs: number;
  /** In what turn principals get memory. */
  readonly turns: Turns;
  readonly due: Heap<Due>;
  readonly forecast: Forecast;
  readonly foresight: Foresight | null;
  /** Changed since the last settling. */
  readonly touched: Set<Unit>;
  /** Whether memory may be handed out differently than at the last settling. */
  stirred: boolean;
  /** Units that take no new work, since someone waited past the bound for their memory. */
  readonly held: Set<Unit>;
  /** For whom. */
  blocked: Blocked | null;
}

export const createState = (
  settings: Settings,
  limitBytes: number,
  forecast = createForecast(),
  foresight: Foresight | null = null,
): State => ({
  settings,
  limitBytes,
  seq: 0,
  closing: false,
  pressure: 'none',
  relief: false,
  units: new Map(),
  totals: { charged: 0, incoming: 0, fixed: 0 },
  devices: new Map(),
  cores: createCores(),
  awake: new Set(),
  idle: { ready: new Set(), frozen: new Set() },
  claims: [],
  backlogMs: 0,
  turns: createTurns(),
  due: createHeap(),
  forecast,
  foresight,
  touched: new Set(),
  stirred: false,
  held: new Set(),
  blocked: null,
});

/** Milliseconds without use after which it goes to sleep; Infinity for never. */
export const idleAfterOf = ({ keepMs, spec }: Unit): number => keepMs ?? spec.idleAfterMs;

export function createUnit(spec: UnitSpec, order: number, original: Unit | null = null): Unit {
  const queue = original?.queue ?? createQueue();
  return {
    spec,
    order,
    original,
    copies: [],
    kept: false,
    phase: { kind: 'cold' },
    reason: { code: 'never-asked' },
    failure: null,
    keepMs: null,
    pinned: false,
    intent: false,
    removed: false,
    stopWanted: null,
    measuredBytes: null,
    learnedBytes: spec.learnedBytes,
    peakBytes: null,
    worked: false,
    runsAs: spec.learnedAs,
    card: { held: null, measured: null, peak: null, learned: spec.learnedVram ?? null },
    threads: spec.threads ?? 0,
    frozenBytes: spec.rungs.frozenBytes,
    startMs: spec.startMs,
    thawMs: spec.rungs.thawMs,
    queue,
    waiters: queue.waiters,
    leases: new Map(),
    connections: new Set(),
    holdMs: null,
    arrivals: original?.arrivals ?? createArrivals(),
    pace: original?.pace ?? createPace(),
    stretch: createStretch(),
    guessed: null,
    booked: {
      charged: 0,
      incoming: 0,
      fixed: 0,
      idle: false,
      first: null,
      claim: null,
      backlogMs: 0,
      lookedAt: -Infinity,
      dueAt: Infinity,
      ...{ device: null, vram: { charged: 0, incoming: 0, fixed: 0 }, threads: 0 },
    },
  };
}

/** What a copy of the unit is told: it stands behind everything that is asked for by name, and is never always on. */
export const copySpec = (spec: UnitSpec, n: number): UnitSpec => ({
  ...spec,
  id: replicaId(spec.id, n),
  tier: spec.tier === 'core' ? 'persistent' : spec.tier,
  idleAfterMs: Math.min(spec.idleAfterMs, copyIdleMs),
  prewarm: false,
  replicas: oneReplica,
});
/** A copy that nobody needed for so long goes; it is the first one that people come back to. Milliseconds. */
const copyIdleMs = 60_000;

/** The first of the unit and its copies. */
export const originalUnit = (unit: Unit): Unit => unit.original ?? unit;

/** All that serve the same queue, the first of them first. */
export const siblingsOf = (unit: Unit): readonly Unit[] => {
  const first = originalUnit(unit);
  return first.copies.length === 0 ? [first] : [first, ...first.copies];
};

/** Those who wait are counted once, at the first of the unit and its copies. */
export const waitersOf = (unit: Unit): number => (unit.original === null ? unit.waiters.size : 0);

/** Leases of the unit and all its copies together. */
export function leasesOf(unit: Unit): number {
  let total = 0;
  for (const { leases } of siblingsOf(unit)) total += leases.size;
  return total;
}

export function unitOf(state: State, id: UnitId): Unit {
  const unit = state.units.get(id);
  if (!unit) throw new Fault('NOT_FOUND', `The scheduler knows no unit ${id}.`);
  return unit;
}

/** Bytes to reserve for the next start: the larger of what is declared and what was learned. */
export const reservationOf = (unit: Unit): number => Math.max(unit.spec.declaredBytes, unit.learnedBytes ?? 0);

/** Bytes the unit was admitted with; 0 while it holds none. A frozen one gave up what it does not keep. */
export const reservedOf = (unit: Unit): number =>
  unit.phase.kind === 'frozen' ? chargedOf(unit) : 'bytes' in unit.phase ? unit.phase.bytes : 0;

/**
 * Bytes it counts for: the reservation, or what it is seen to use where that is more. A frozen one counts for what it
 * is seen to hold, and until that was measured for what it held when it was frozen before.
 */
export function chargedOf(unit: Unit): number {
  if (!('bytes' in unit.phase)) return 0;
  const { bytes, kind } = unit.phase;
  if (kind === 'frozen') return unit.measuredBytes ?? bytes;
  return Math.max(bytes, unit.measuredBytes ?? 0);
}

/** Bytes it keeps once it is frozen, as far as is known. */
export const keptOf = (unit: Unit): number => Math.min(unit.frozenBytes ?? Infinity, chargedOf(unit));

/** Bytes that come back by themselves: of a unit that is stopping, and of one that is being frozen. */
export function incomingOf(unit: Unit): number {
  if (unit.phase.kind === 'stopping') return chargedOf(unit);
  return unit.phase.kind === 'freezing' ? chargedOf(unit) - keptOf(unit) : 0;
}

/** Bytes it needs beside those it holds before it can serve. */
export const needOf = (unit: Unit): number =>
  unit.phase.kind === 'frozen' ? Math.max(0, reservationOf(unit) - chargedOf(unit)) : reservationOf(unit);

/** Never stopped to make room. What is not in the catalogue any more has no such right. */
export const isProtected = (unit: Unit): boolean => !unit.removed && (unit.pinned || unit.spec.tier === 'core');

/** What a unit that never yields holds for good. One that is stopping or cold holds nothing for good. */
export const fixedOf = (unit: Unit): number =>
  isProtected(unit) && unit.phase.kind !== 'stopping' ? chargedOf(unit) : 0;

/** No lease holds it and nobody in its queue is about to. */
export const isIdle = (unit: Unit): boolean => unit.leases.size === 0 && unit.waiters.size === 0;

/** Stopped, it would cut what is open: it is put to sleep by freezing alone. */
export const isConnected = (unit: Unit): boolean => unit.connections.size > 0;

/** It starts for a guess: whoever needs its memory may have it at once. */
export const isSpeculative = (unit: Unit): boolean =>
  unit.phase.kind === 'starting' && unit.guessed !== null && isIdle(unit) && !isWanted(unit);

export const isWanted = (unit: Unit): boolean =>
  !unit.removed && (unit.intent || unit.kept || unit.pinned || unit.spec.tier === 'core');

/** Why a unit is brought up: for its first waiter, or with nobody waiting because it is wanted. */
export function reasonFor(unit: Unit, head: Queued | undefined): Reason {
  if (head) return { code: 'asked', by: head.principal };
  if (unit.original) return { code: 'wanted', because: 'copy' };
  return { code: 'wanted', because: unit.spec.tier === 'core' ? 'core' : unit.pinned ? 'pinned' : 'started' };
}

/** Sums over all units, for those who look rarely; `state.totals` has the ones that every decision needs. */
export function sum(state: State, bytes: (unit: Unit) => number): number {
  let total = 0;
  for (const unit of state.units.values()) total += bytes(unit);
  return total;
}
