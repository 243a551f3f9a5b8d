/**
 * What the control API says of the scheduler's reasons: `/sutaz/v1/ledger`, `/units/{name}/why`, `/plan` and `/savings`.
 * Sizes are bytes, durations milliseconds, times ISO 8601.
 */
import type { ApiLedgerLines, ApiUnit, ApiUnitState } from './api.ts';

/** One way to make room, as it was weighed: the waiting that is expected from it, weighted by priority. */
export interface ApiOption {
  readonly unit: string;
  readonly act: 'freeze' | 'stop';
  readonly bytes: number;
  /** The graphics card whose bytes these are; without it they are of main memory. */
  readonly device?: string;
  readonly costMs: number;
}

/**
 * The facts behind a unit's `why`. `code` says which: `evicted` has `for`, `bytes`, `costMs` and the `sums` that were
 * compared, `idle` has `ms`, `asked` has `by`, `failed` has `message` ...
 */
export interface ApiReason {
  readonly code: string;
  readonly sums?: readonly (ApiOption & { readonly chosen: boolean })[];
  readonly [fact: string]: unknown;
}

export interface ApiLedgerUnit {
  readonly id: string;
  readonly state: ApiUnitState;
  readonly tier: string;
  readonly pinned: boolean;
  readonly priority: number;
  readonly why: string;
  readonly reason: ApiReason;
  readonly bytes: {
    readonly declared: number;
    readonly learned: number | null;
    readonly measured: number | null;
    /** What it was admitted with. */
    readonly reserved: number;
    /** What it counts for now: the larger of reserved and measured, and of a frozen one what it is seen to hold. */
    readonly charged: number;
    /** What it keeps while frozen; null when that was never seen. */
    readonly frozen: number | null;
    /** What its next start will reserve. */
    readonly next: number;
  };
  readonly leases: number;
  /** What is open whether or not anything is said there: while it is, the unit sleeps by being frozen only. */
  readonly connections: number;
  readonly waiters: number;
  /** Whether it would be put to sleep now if somebody needed its memory. */
  readonly evictable: boolean;
  /** What putting it to sleep now would cost, by each way there is; empty for one that holds nothing. */
  readonly options: readonly ApiOption[];
  /** In what time somebody will ask for it again, as decisions take it; milliseconds. */
  readonly againInMs: number;
  /** Requests an hour, lately. */
  readonly requestsPerHour: number;
  /** How often waiting for it counts, by its priority and its tier. */
  readonly weight: number;
  /** What any start takes from the others, beside its own time. */
  readonly upkeepMs: number;
  /** How long its starts and thaws took; null when there was none. */
  readonly startMs: number | null;
  readonly thawMs: number | null;
  /** Its place among those that wait for memory, from 1; null when it does not. */
  readonly place: number | null;
}

/** `GET /sutaz/v1/ledger`: the sums, the lines of what holds memory, and what decisions rest on. */
/** What was brought up before anybody asked, and what came of it since the platform started. */
export interface ApiPrediction {
  readonly on: boolean;
  /** Asked for afterwards; asleep again before anybody asked. */
  readonly hits: number;
  readonly misses: number;
  /** Free memory that it took, times the seconds until somebody asked or it was given back. */
  readonly byteSeconds: number;
  /** What would be brought up as soon as memory is free for it. */
  readonly expected: readonly {
    readonly unit: string;
    readonly chance: number;
    /** `follows`: what usually comes next. `time`: what is usual at this time of the day and week. */
    readonly because: 'follows' | 'time';
    readonly until: string;
  }[];
}

export interface ApiAccount extends ApiLedgerLines {
  readonly chargedBytes: number;
  /** What comes back by itself: of units that are stopping or being frozen. Still charged. */
  readonly incomingBytes: number;
  /** What the memory of the machine calls for: `none`, `caches`, `idle`, `admission`. */
  readonly pressure: string;
  /** What is asked for again in so long counts half of what is asked for at once. */
  readonly horizonMs: number;
  readonly prediction: ApiPrediction;
  /** Every unit, with what a decision about it would rest on. */
  readonly units: readonly ApiLedgerUnit[];
}

/** What would happen if somebody asked for the unit now. */
export interface ApiOutlook {
  readonly need: number;
  readonly free: number;
  readonly coming: number;
  /** The same of the graphics card that it needs, with what units may hold there; null when it needs none. */
  readonly card?: {
    readonly device: string;
    readonly need: number;
    readonly free: number;
    readonly coming: number;
    readonly limit: number;
  } | null;
  readonly wouldStop: readonly ApiOption[];
  readonly blockedBy: readonly {
    readonly unit: string;
    /** `core`, `pinned`, `starting`, `freezing`, `thawing`, `busy`, `connected`, `waited-for`, `just-started`, `ahead`. */
    readonly why: string;
    readonly bytes: number;
    readonly forMs: number | null;
  }[];
  readonly paused: boolean;
  readonly fits: 'now' | 'after-stops' | 'after-evictions' | 'when-idle' | 'never';
}

/** `GET /sutaz/v1/units/{name}/why`. `facts` and `outlook` are null for what is not run here. */
export interface ApiWhy {
  readonly unit: ApiUnit;
  readonly facts: ApiLedgerUnit | null;
  readonly outlook: ApiOutlook | null;
  /** Where its requests go, as far as there were any. */
  readonly upstreams: readonly ApiUpstream[];
}

/** A place where requests go: an address elsewhere, or an instance here. */
export interface ApiUpstream {
  /** The address, or the unit of the instance. */
  readonly id: string;
  readonly role: 'upstream' | 'canary';
  /**
   * `open`: its breaker lets nothing through. `half-open`: one request may try it. `ejected`: it did worse than the others.
   * `resting`: it asked for a pause. `unwell`: a check of its health failed. `withdrawn`: a canary that failed too often.
   */
  readonly state: 'closed' | 'open' | 'half-open' | 'ejected' | 'resting' | 'unwell' | 'withdrawn';
  /** Why it gets nothing, or less; null while all is well. */
  readonly why: string | null;
  /** Milliseconds until it is tried again, where that is known. */
  readonly leftMs: number | null;
  /** Its part at present: one that has just come back has less of it. */
  readonly weight: number;
  readonly inFlight: number;
  readonly picks: number;
  readonly failures: number;
  /** How often it was left out for doing worse than the others. */
  readonly ejections: number;
  /** Milliseconds until its answers begin, of late. */
  readonly latencyMs: number | null;
  /** The last thing that went wrong. */
  readonly lastFailure: string | null;
}

/** `GET /sutaz/v1/upstreams`: where requests go, and how those before fared. */
export interface ApiUpstreams {
  readonly units: readonly ApiUnitUpstreams[];
}

export interface ApiUnitUpstreams {
  readonly unit: string;
  /** `scheduler`: its instances run here, and the scheduler gives the place. */
  readonly balance: 'round-robin' | 'least-requests' | 'latency' | 'hash' | 'scheduler';
  /** Requests that were tried again. */
  readonly retries: number;
  /** Copies that went to its mirror, and how many of them failed there. */
  readonly mirrored: { readonly sent: number; readonly failed: number };
  readonly upstreams: readonly ApiUpstream[];
}

/** `GET /sutaz/v1/plan?unit=a&unit=b`: whether they can be awake together. Nothing is started for it. */
export interface ApiPlan {
  /**
   * `together`: all of them at once. `in-turns`: each of them with what it needs, while others sleep. `never`: at least
   * one cannot start even when everything else sleeps that may.
   */
  readonly verdict: 'together' | 'in-turns' | 'never';
  readonly limitBytes: number;
  readonly limitReason: string;
  /** What else is held for good: by what is core or pinned. */
  readonly alwaysBytes: number;
  /** What the units below reserve together. */
  readonly totalBytes: number;
  /** What would be left; below zero what is lacking. */
  readonly spareBytes: number;
  readonly units: readonly ApiPlannedUnit[];
  readonly always: readonly { readonly id: string; readonly bytes: number; readonly why: 'core' | 'pinned' }[];
  /** The same of each graphics card that any of them needs. */
  readonly devices?: readonly {
    readonly id: string;
    readonly limitBytes: number;
    readonly alwaysBytes: number;
    readonly totalBytes: number;
    readonly spareBytes: number;
  }[];
  /** Asked for or needed, and run elsewhere: they take nothing here. */
  readonly elsewhere: readonly string[];
}

export interface ApiPlannedUnit {
  readonly id: string;
  readonly bytes: {
    readonly declared: number;
    readonly learned: number | null;
    /** The larger of the two: what its start reserves. */
    readonly reserved: number;
    /** The same with all that it needs, and with what is core or pinned among these units. */
    readonly withNeeds: number;
  };
  /** What it takes of a graphics card; null for what needs none. */
  readonly vram?: { readonly device: string; readonly bytes: number } | null;
  /** A model whose file is not here yet: its size is guessed from its definition, and may turn out larger. */
  readonly estimated: boolean;
  /** It never yields: `core`, `pinned`; null when it may sleep. */
  readonly stays: 'core' | 'pinned' | null;
  /** Of those asked for, and of what they need: those that stand on it. */
  readonly neededBy: readonly string[];
  /** Whether it can start at all. */
  readonly fits: boolean;
  /** Whether it would sleep while the others work: those whose coming back is expected to cost the least waiting. */
  readonly sleeps: boolean;
}

/**
 * `GET /sutaz/v1/savings`: what was spared against keeping awake whatever was used at least once, over the time that the
 * platform ran. Kept over restarts.
 */
export interface ApiSavings {
  readonly since: string;
  /** For how long of that the platform ran. */
  readonly uptimeMs: number;
  /** What they would hold now if all of them were awake, and what they do hold. */
  readonly alwaysOnBytes: number;
  readonly heldBytes: number;
  /** The same on average over the time that the platform ran. */
  readonly averageAlwaysOnBytes: number;
  readonly averageHeldBytes: number;
  readonly sparedByteSeconds: number;
  /** What was paid for it: how often something was started or thawed, and how long that took altogether. */
  readonly starts: number;
  readonly startMs: number;
  readonly thaws: number;
  readonly thawMs: number;
  /** Most spared first. */
  readonly units: readonly ApiSavedUnit[];
}

export interface ApiSavedUnit {
  readonly id: string;
  /** Its first start, from which on it counts. */
  readonly since: string;
  readonly alwaysOnBytes: number;
  readonly heldBytes: number;
  readonly sparedByteSeconds: number;
  readonly starts: number;
  readonly startMs: number;
  readonly thaws: number;
  readonly thawMs: number;
}
