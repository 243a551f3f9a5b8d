import type { FaultCode } from '#kernel/faults';
import type { UnitId, WaiterId } from '#kernel/ids';

export type Tier = 'core' | 'persistent' | 'on-demand';
/** Interactive goes before batch; `default` stands between them. */
export type WaiterClass = 'interactive' | 'default' | 'batch';

/** What the scheduler must know of a unit. Bytes, and milliseconds of the clock that never jumps. */
export interface UnitSpec {
  readonly id: UnitId;
  readonly tier: Tier;
  /** 0 to 100, larger is evicted later. */
  readonly priority: number;
  /** Bytes its definition declares, or its file computes. */
  readonly declaredBytes: number;
  /** What its memory depends on, as a name: under another one (a larger context) it is learned anew. */
  readonly learnedAs: string;
  /** The high-water mark of its measured memory, from earlier runs under that name. */
  readonly learnedBytes: number | null;
  /** How many leases it serves at once. */
  readonly slots: number;
  readonly idleAfterMs: number;
  /** Where it goes when it was idle that long; with `auto` by what either costs (`rung.ts`). `frozen` only where the driver can freeze. */
  readonly idleRung: 'frozen' | 'cold' | 'auto';
  /** How long it took to start before; null when it never did. */
  readonly startMs: number | null;
  readonly rungs: Rungs;
  /** Whether it may be brought up before anybody asks. Not what needs others awake: those would have to make room. */
  readonly prewarm: boolean;
  /**
   * How many instances run at once: `min` as soon as it is awake, up to `max` while work piles up. Those beside the first are
   * units of their own (`replicaId`), which the scheduler makes.
   */
  readonly replicas: { readonly min: number; readonly max: number };
  /** What it needs on a graphics card beside its main memory. Without it, nothing. */
  readonly vram?: Vram | undefined;
  /** The high-water mark of what it was measured to hold there, from earlier runs under `learnedAs`. */
  readonly learnedVram?: number | null;
  /** Threads with which it computes for as long as it is leased. Without it, it mostly waits for others. */
  readonly threads?: number;
}

/** Bytes on one graphics card. */
export interface Vram {
  readonly device: string;
  readonly bytes: number;
}

/** What the ways down and up cost, as far as it is known: milliseconds, and bytes. */
export interface Rungs {
  /** Whether it may be frozen to make room. Its idle time may freeze it all the same. */
  readonly freezable: boolean;
  /** Bytes that stay in memory while it is frozen; null when that was never measured, and all of them are charged. */
  readonly frozenBytes: number | null;
  readonly freezeMs: number | null;
  readonly thawMs: number | null;
  readonly stopMs: number | null;
}

/** Of a unit of which nothing is known but that it can be started and stopped. */
export const plainRungs: Rungs = { freezable: false, frozenBytes: null, freezeMs: null, thawMs: null, stopMs: null };
export const oneReplica: UnitSpec['replicas'] = { min: 1, max: 1 };

export interface Waiter {
  readonly id: WaiterId;
  readonly unit: UnitId;
  readonly class: WaiterClass;
  readonly principal: string;
  /** The time at which it is refused with TIMEOUT; infinite for those who wait as long as it takes. */
  readonly deadline: number;
  /** It goes on with what was begun before: a full queue does not turn it away. */
  readonly goesOn?: boolean;
}

/** Why a unit is where it is: facts, told as a sentence by `explain.ts`. */
export type Reason =
  | { readonly code: 'never-asked' }
  | { readonly code: 'asked'; readonly by: string }
  | { readonly code: 'wanted'; readonly because: 'core' | 'pinned' | 'started' | 'copy' }
  /** Nobody asked yet: `chance` is what that somebody does was taken for, 0 to 1. */
  | { readonly code: 'expected'; readonly chance: number; readonly because: 'follows' | 'time' }
  | { readonly code: 'recovered' }
  | { readonly code: 'idle'; readonly ms: number }
  /** `costMs`: the waiting that was expected from it, of which no other set of units had less; `sums` compares them. */
  | {
      readonly code: 'evicted';
      readonly for: UnitId;
      readonly bytes: number;
      /** The card whose bytes these are; without it they are of main memory. */
      readonly device?: string;
      readonly costMs: number;
      readonly sums: readonly Sum[];
    }
  | {
      readonly code: 'relief';
      readonly chargedBytes: number;
      readonly limitBytes: number;
      /** The card whose bytes these are; without it they are of main memory. */
      readonly device?: string;
    }
  | { readonly code: 'pressure'; readonly level: PressureLevel }
  | { readonly code: 'stopped-by-user' }
  | { readonly code: 'abandoned' }
  | { readonly code: 'failed'; readonly message: string }
  | { readonly code: 'exited'; readonly message: string }
  | { readonly code: 'removed' }
  /** What it asks directly is at another address than it was told. */
  | { readonly code: 'moved'; readonly provider: UnitId }
  | { readonly code: 'shutdown' };

/** What the memory of the machine calls for: nothing, giving up what sleeps, what is idle, or also starting nothing. */
export type PressureLevel = 'none' | 'caches' | 'idle' | 'admission';

/** What an eviction compared: putting this unit to sleep, the bytes that frees and the waiting expected from it. */
export interface Sum {
  readonly unit: UnitId;
  readonly act: 'freeze' | 'stop';
  readonly bytes: number;
  readonly device?: string;
  readonly costMs: number;
  readonly chosen: boolean;
}

/** The rungs and the ways between them. A field exists only on the member for which it means something. */
export type Phase =
  | { readonly kind: 'cold' }
  | { readonly kind: 'starting'; readonly since: number; readonly bytes: number }
  /** `until`: not put to sleep to make room before. */
  | {
      readonly kind: 'ready';
      readonly since: number;
      readonly until: number;
      readonly bytes: number;
      idleSince: number | null;
    }
  | { readonly kind: 'freezing' | 'frozen' | 'thawing'; readonly since: number; readonly bytes: number }
  | { readonly kind: 'stopping'; readonly since: number; readonly bytes: number }
  | { readonly kind: 'backoff'; readonly until: number }
  | { readonly kind: 'quarantined'; readonly until: number };

export interface Failure {
  readonly message: string;
  readonly count: number;
}

/** An instance that an earlier process left. */
export interface Found {
  readonly unit: UnitId;
  readonly frozen: boolean;
  /** Leases on it that are still held there, and those under which something stays open: they end by the same events as others. */
  readonly leases?: readonly WaiterId[];
  readonly open?: readonly WaiterId[];
}

export type Event =
  /**
   * The catalogue changed: units that are not named any more are stopped, and forgotten once cold. `found` are the
   * instances that an earlier process left: told here, they are in the account before anything is started, which matters
   * for what is always on.
   */
  | {
      readonly kind: 'configure';
      readonly units: readonly UnitSpec[];
      readonly found?: readonly Found[];
    }
  /** It will not be asked for again: stopped once its last lease is given back, and forgotten once cold. */
  | { readonly kind: 'forget'; readonly unit: UnitId }
  /** One unit's facts changed, as when a model's file arrived and its header says what it weighs. */
  | { readonly kind: 'describe'; readonly unit: UnitSpec }
  /** What time it is for people: local wall time, in milliseconds since the epoch there. Told now and then: it may jump. */
  | { readonly kind: 'clock'; readonly localMs: number }
  /** What was decided by the old ones stands; pauses and quarantines that began go on. */
  | { readonly kind: 'settings'; readonly settings: Settings }
  | { readonly kind: 'limit'; readonly bytes: number }
  /** The graphics cards, and what all units together may hold on each. One that is not named any more is gone. */
  | { readonly kind: 'devices'; readonly devices: readonly { readonly id: string; readonly limitBytes: number }[] }
  /** Threads that may be busy at once. */
  | { readonly kind: 'cores'; readonly cores: number }
  | { readonly kind: 'request'; readonly waiter: Waiter }
  /** The caller left. With `keep` it will come back, so that what it waited for is made ready all the same. */
  | { readonly kind: 'leave'; readonly waiter: WaiterId; readonly unit: UnitId; readonly keep: boolean }
  | { readonly kind: 'release'; readonly waiter: WaiterId; readonly unit: UnitId }
  /**
   * What was begun under this lease stays open beyond it, as a connection that may go silent. It is no work: the instance
   * may be frozen meanwhile. But only a person, its definition's end, a move of
   * what it stands on or its own end does so before `closed`.
   */
  | { readonly kind: 'opened'; readonly waiter: WaiterId; readonly unit: UnitId }
  | { readonly kind: 'closed'; readonly waiter: WaiterId; readonly unit: UnitId }
  | { readonly kind: 'wake'; readonly unit: UnitId }
  /**
   * Stops it once its last lease is given back; with `force` at once. Whoever waits for it wakes it again, and so does
   * its being core or pinned: for those it is a restart.
   */
  | { readonly kind: 'stop'; readonly unit: UnitId; readonly reason: Reason; readonly force: boolean }
  | { readonly kind: 'pin'; readonly unit: UnitId; readonly pinned: boolean }
  /**
   * How long it stays awake without use, in place of its own idle time, until it is told otherwise or goes cold: null for
   * its own, Infinity for as long as nothing else needs its memory.
   */
  | { readonly kind: 'keep'; readonly unit: UnitId; readonly idleMs: number | null }
  /** Another instance that an earlier process left was taken over. It may bring the account over the limit. */
  | ({ readonly kind: 'recovered' } & Found)
  | { readonly kind: 'started'; readonly unit: UnitId }
  /** The start came to nothing, and nothing is left of it. */
  | { readonly kind: 'failed'; readonly unit: UnitId; readonly message: string; readonly permanent: boolean }
  /** The instance ended by itself; its leases went with it. */
  | { readonly kind: 'exited'; readonly unit: UnitId; readonly message: string }
  /** The instance is gone: only now do its bytes count as free. */
  | { readonly kind: 'stopped'; readonly unit: UnitId }
  /** Also when it could not be frozen: the thaw that follows then finds it running. */
  | { readonly kind: 'frozen'; readonly unit: UnitId }
  | { readonly kind: 'thawed'; readonly unit: UnitId }
  | { readonly kind: 'measured'; readonly unit: UnitId; readonly bytes: number }
  /** What it holds on its graphics card. */
  | { readonly kind: 'measured-vram'; readonly unit: UnitId; readonly bytes: number }
  /** Told again for as long as it lasts: each time a little more is given up. */
  | { readonly kind: 'pressure'; readonly level: PressureLevel }
  | { readonly kind: 'tick' }
  /** Nothing is admitted any more; every waiter is refused. */
  | { readonly kind: 'shutdown' };

export interface Refusal {
  readonly code: FaultCode;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Everything it can do to the world. Each is carried out outside; its end comes back as an event. */
export type Effect =
  /** `vram`: what is reserved for it on a graphics card. */
  | { readonly kind: 'start'; readonly unit: UnitId; readonly bytes: number; readonly vram?: Vram }
  | { readonly kind: 'stop'; readonly unit: UnitId; readonly reason: Reason }
  | { readonly kind: 'freeze'; readonly unit: UnitId }
  | { readonly kind: 'thaw'; readonly unit: UnitId }
  /** `unit` is the one that serves: where there are copies, not always the one that was asked for. */
  | { readonly kind: 'grant'; readonly waiter: WaiterId; readonly unit: UnitId }
  | { readonly kind: 'refuse'; readonly waiter: WaiterId; readonly unit: UnitId; readonly refusal: Refusal };

/** Durations in milliseconds. */
export interface Settings {
  /** A unit that became ready stays at least so long before it may be evicted. */
  readonly minResidencyMs: number;
  /** What is asked for again in so long counts half of what is asked for at once. */
  readonly horizonMs: number;
  /** Waiters a unit may have; one more is refused with QUEUE_FULL. */
  readonly maxWaiters: number;
  /**
   * Who waited so long goes first, and what stands in its way takes no new work. Where more is asked for than the machine can
   * do it is longer (`patience.ts`).
   */
  readonly ageingMs: number;
  readonly backoffFirstMs: number;
  readonly backoffMaxMs: number;
  /** Failed starts in a row, after which a unit is left alone for `quarantineMs`. */
  readonly maxFailures: number;
  readonly quarantineMs: number;
  /** Whether it learns what is asked for when and after what, and brings that up while memory is free. */
  readonly prediction: boolean;
}

export const defaultSettings: Settings = {
  minResidencyMs: 500,
  horizonMs: 30_000,
  maxWaiters: 256,
  ageingMs: 60_000,
  backoffFirstMs: 1_000,
  backoffMaxMs: 60_000,
  maxFailures: 3,
  quarantineMs: 300_000,
  prediction: true,
};
