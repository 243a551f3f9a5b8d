import type { ApiProgress } from '#contracts/api';
import { abortable, sleep } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { originalOf } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import type { Lease, Scheduler } from '#scheduler/run-loop';
import { siblingsOf } from '#scheduler/state';
import type { WaiterClass } from '#scheduler/types';
import type { Placed } from './endpoint.ts';
import type { Granter } from './granter.ts';
import { createLinger } from './linger.ts';
import { createLines } from './lines.ts';
import type { Line } from './lines.ts';
import { anyPlace } from './picker.ts';
import type { Choice, Picker } from './picker.ts';
import type { Pickers } from './pickers.ts';
import type { Target } from './policy.ts';

export type { Target } from './policy.ts';

/** What must be on disk before a unit can start: its packages, its model's file. Costs no memory and no lease. */
export interface Preparation {
  /** Cheap: asked on every request. */
  isPrepared(unit: UnitId): boolean;
  /** Idempotent; many may wait for one. Ends with the last of them. */
  prepare(unit: UnitId, signal: AbortSignal): Promise<void>;
}

export interface Caller {
  readonly principal: string;
  readonly class: WaiterClass;
  readonly signal: AbortSignal;
  /** For a connection that is open already: a full queue does not turn it away. */
  readonly goesOn?: boolean;
  readonly onQueued?: (id: WaiterId) => void;
  /** Of a request: what its place is chosen by. Without it the unit is only to be awake. */
  readonly choice?: Choice;
}

/** A unit that is awake for one caller. `release` belongs in a `finally`. */
export interface Awake {
  readonly target: Target;
  /** Its place there, to be told what becomes of the request, beside the release. */
  readonly placed: Placed;
  /** Milliseconds spent waiting for a place on a ready unit, and for the unit to become ready. */
  readonly queueMs: number;
  readonly wakeMs: number;
  /** Says that a connection outlives the lease; the function it returns, that it has closed. */
  leaveOpen(): () => void;
  /** With `broken` the instance broke off: nobody else is sent there before it is seen to listen, or known to have ended. */
  release(broken?: boolean): void;
}

/** What the door asks. */
export interface Waker extends Omit<Granter, 'silenceMs'> {
  /** Where requests for the unit go, and how those before fared. */
  picker(unit: UnitId): Picker;
  /** What is to be asked for every byte of an open connection; null where one is work for as long as it is open. */
  line(unit: UnitId, awake: Awake, caller: Omit<Caller, 'signal'>): Line | null;
}

export interface WakerOptions {
  readonly scheduler: Scheduler;
  readonly preparation: Preparation;
  /** Null when the unit, or the copy of one, has no instance to speak to. */
  readonly target: (unit: UnitId) => Target | null;
  /** Whether something listens there now. Within bounds, and never rejects. */
  readonly reaches: (target: Target) => Promise<boolean>;
  readonly pickers: Pick<Pickers, 'of'>;
  /** A unit that is never started here: it runs elsewhere. */
  readonly isExternal: (unit: UnitId) => boolean;
  readonly progress: (unit: UnitId, waiter?: WaiterId) => ApiProgress;
  /** Milliseconds without a byte after which an open connection is no work; null where it always is. */
  readonly silenceMs: (unit: UnitId) => number | null;
  readonly clock: Clock;
  readonly log: Logger;
}

export const createWaker = (options: WakerOptions): Waker => withLines(createGranter(options), options);

/** The same granter, the lines of what it granted, and the places of requests. */
export function withLines(
  { silenceMs, ...granter }: Granter,
  { clock, pickers }: Pick<WakerOptions, 'clock' | 'pickers'>,
): Waker {
  const lines = createLines({ clock, wake: granter.wake });
  return {
    ...granter,
    picker: pickers.of,
    line(unit, awake, caller) {
      const silence = silenceMs(unit);
      return silence === null ? null : lines.open(unit, awake, caller, silence);
    },
  };
}

/** Asks the scheduler of this process. */
export function createGranter(options: WakerOptions): Granter {
  const { scheduler, clock } = options;
  const isReady = (id: UnitId): boolean => {
    if (options.isExternal(id)) return true;
    const unit = scheduler.state.units.get(id);
    return unit !== undefined && siblingsOf(unit).some(({ phase }) => phase.kind === 'ready');
  };

  const doubts = new Map<UnitId, Promise<void>>();
  const doubt = (unit: UnitId, settled: Promise<void>): void => {
    doubts.set(unit, settled);
    void settled.finally(() => doubts.get(unit) === settled && doubts.delete(unit));
  };
  const awakeFor = (unit: UnitId, leased: Leased, since: Since): Awake =>
    awakeBy(leased, since, clock.now(), () => doubt(unit, releaseWhenSure(leased.lease, options)));

  const wake = (unit: UnitId, caller: Caller): Awake | Promise<Awake> => {
    if (options.isExternal(unit)) return external(options.pickers.of(unit).pick(caller.choice ?? anyPlace), caller);
    const asked = clock.now();
    // Else it could be granted the very instance that has just failed it, which may have ended without being known to have.
    const doubted = caller.choice && caller.choice.avoid.size > 0 ? doubts.get(unit) : undefined;
    if (doubted) return abortable(doubted, caller.signal).then(() => atOnce(unit, caller, asked));
    return atOnce(unit, caller, asked);
  };

  const atOnce = (unit: UnitId, caller: Caller, asked: number): Awake | Promise<Awake> => {
    const since = { asked, wasReady: isReady(unit) };
    if (!since.wasReady) return inTurn(unit, caller, since);
    const lease = scheduler.acquire({ unit, ...caller });
    if (lease instanceof Promise) return inTurn(unit, caller, since, lease);
    const target = options.target(lease.unit);
    const placed = target && placeOn(lease, target, caller, options);
    return placed ? awakeFor(unit, { lease, placed }, since) : inTurn(unit, caller, since, lease);
  };

  const inTurn = async (unit: UnitId, caller: Caller, since: Since, first?: Soon<Lease>): Promise<Awake> =>
    awakeFor(unit, await leaseAndPlace(unit, caller, first ?? leaseOn(unit, caller), leaseOn, options), since);

  const leaseOn = async (unit: UnitId, caller: Caller): Promise<Lease> => {
    if (!isReady(unit) && !options.preparation.isPrepared(unit)) {
      await options.preparation.prepare(unit, caller.signal);
    }
    return scheduler.acquire({ unit, ...caller });
  };

  const { linger } = createLinger(wake, options);
  const silenceMs = (unit: UnitId): number | null => {
    // Among copies the one that a connection is with could not be asked for by name.
    const hasCopies = (scheduler.state.units.get(unit)?.copies.length ?? 1) > 0;
    return hasCopies ? null : options.silenceMs(unit);
  };
  const wasStopped = (id: UnitId): boolean => {
    const unit = scheduler.state.units.get(id);
    return unit?.reason.code === 'stopped-by-user' && unit.phase.kind !== 'ready';
  };
  return { wake, silenceMs, isReady, wasStopped, linger, progress: options.progress };
}

type Soon<T> = T | Promise<T>;

interface Leased {
  readonly lease: Lease;
  readonly placed: Placed;
}

interface Since {
  /** Milliseconds of the clock. */
  readonly asked: number;
  readonly wasReady: boolean;
}

function awakeBy({ lease, placed }: Leased, { asked, wasReady }: Since, now: number, broke: () => void): Awake {
  const waited = now - asked;
  return {
    placed,
    target: placed.target,
    queueMs: wasReady ? waited : 0,
    wakeMs: wasReady ? 0 : waited,
    leaveOpen: () => lease.leaveOpen(),
    release(broken = false) {
      if (broken) broke();
      else lease.release();
    },
  };
}

/** A lease on an instance that is there, and that is not left alone for failing. */
async function leaseAndPlace(
  unit: UnitId,
  caller: Caller,
  first: Soon<Lease>,
  leaseOn: (unit: UnitId, caller: Caller) => Promise<Lease>,
  options: WakerOptions,
): Promise<Leased> {
  const passedOver: Lease[] = [];
  let next: Soon<Lease> | null = first;
  try {
    for (let triesLeft = tries; triesLeft > 0; triesLeft--) {
      const lease: Lease = await (next ?? leaseOn(unit, caller));
      next = null;
      // Where there are copies, the one that granted the lease is the one that keeps a slot for it.
      const target = options.target(lease.unit);
      if (!target) {
        await abortable(releaseWhenSure(lease, options), caller.signal);
        continue;
      }
      const placed = placeOn(lease, target, caller, options);
      if (placed) return { lease, placed };
      // Held meanwhile: else it would be given once more, in place of another one.
      passedOver.push(lease);
      if (!someOpen(unit, options)) break;
    }
  } finally {
    for (const lease of passedOver) lease.release();
  }
  if (passedOver.length > 0) throw options.pickers.of(unit).refusal();
  throw new Fault('UPSTREAM_FAILED', `${unit} ended just now.`, { retryAfter: 1 });
}

/** Null for a request to an instance that is left alone. Who only wants it awake does not ask its breaker. */
const placeOn = (lease: Lease, target: Target, { choice }: Caller, { pickers }: WakerOptions): Placed | null =>
  choice ? pickers.of(originalOf(lease.unit)).at(lease.unit, target) : unplaced(target);

function someOpen(id: UnitId, { scheduler, pickers, target }: WakerOptions): boolean {
  const unit = scheduler.state.units.get(id);
  const picker = pickers.of(id);
  return (unit ? siblingsOf(unit) : []).some(({ phase, spec }) => {
    const at = phase.kind === 'ready' ? target(spec.id) : null;
    return at !== null && picker.isOpen(spec.id, at);
  });
}

/** So often one is sent on that was granted a place on an instance which had just ended. */
const tries = 3;
/** Milliseconds that the end of an instance may take to be told, what it left behind included; and between looks. */
const endMs = 5_000;
const lookMs = 100;

/**
 * Gives the place back once it is worth having. Between an instance's end and the scheduler's hearing of it, a place that
 * was free again at once would be given to one waiter after the other, each of whom would fail there; its end takes the lease along.
 */
async function releaseWhenSure(lease: Lease, { scheduler, target, reaches, clock }: WakerOptions): Promise<void> {
  const holds = () => scheduler.state.units.get(lease.unit)?.leases.has(lease.id) === true;
  try {
    for (const until = clock.now() + endMs; holds() && clock.now() < until;) {
      const there = target(lease.unit);
      if (there && (await reaches(there))) return;
      await sleep(clock, lookMs);
    }
  } finally {
    lease.release();
  }
}

const nothing = (): void => undefined;

export function external(placed: Placed, { choice }: Caller): Awake {
  // No request goes there, and so nobody would settle it: kept, it would count as one, and a probe's would keep all others out.
  if (!choice) placed.settle('left');
  return {
    ...{ placed: choice ? placed : unplaced(placed.target), target: placed.target, queueMs: 0, wakeMs: 0 },
    leaveOpen: () => () => undefined,
    release: nothing,
  };
}

/** A place that nothing is learned from. */
export const unplaced = (target: Target): Placed => ({
  id: '',
  target,
  answered: nothing,
  settle: nothing,
  rest: nothing,
});
