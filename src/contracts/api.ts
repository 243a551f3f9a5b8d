/**
 * What the control API under `/sutaz/v1/` says, as types: the edge makes these values, the clients and the console read
 * them. Times are ISO 8601, sizes bytes, durations milliseconds.
 */
import type { ApiEstimate, ApiFit, ApiModelVersion } from './store-api.ts';
import type { Progress } from './models.ts';

export interface ApiLedger {
  readonly limitBytes: number;
  /** Where the limit comes from, as a sentence: the configuration, the cgroup or the machine. */
  readonly limitReason: string;
  readonly reservedBytes: number;
  readonly measuredBytes: number;
  readonly freeBytes: number;
  /** Graphics cards; empty where there is none. */
  readonly devices?: readonly ApiDevice[];
  /** Of the processor: how many may be busy at once, and how many are; the units that wait for some. */
  readonly threads?: { readonly total: number | null; readonly busy: number; readonly waiting: readonly string[] };
}

/** The account of one graphics card. */
export interface ApiDevice {
  /** `gpu0`, by the number that its driver gives it. */
  readonly id: string;
  readonly name: string;
  readonly totalBytes: number;
  /** What units may hold there: the total less what is kept free and what other programs hold. */
  readonly limitBytes: number;
  readonly reservedBytes: number;
  /** The larger of reserved and measured, summed. */
  readonly chargedBytes: number;
  /** Of units that are stopping. Still charged. */
  readonly incomingBytes: number;
  readonly freeBytes: number;
  /** What units hold; null where the driver does not tell it by process. */
  readonly measuredBytes: number | null;
  readonly otherBytes: number;
}

/** What a unit holds on a graphics card, or would: `next` is what its next start reserves. */
export interface ApiVram {
  readonly device: string;
  readonly reserved: number;
  readonly charged: number;
  readonly measured: number | null;
  readonly learned: number | null;
  readonly next: number;
}

export type ApiUnitState =
  | 'cold'
  | 'preparing'
  | 'queued'
  | 'starting'
  | 'ready'
  | 'frozen'
  | 'freezing'
  | 'thawing'
  | 'stopping'
  | 'backoff'
  | 'quarantined'
  | 'disabled';

/** How far a wake is. `percent` counts to 100; `position` counts from 1 and is there while the unit waits its turn. */
export interface ApiProgress {
  readonly phase: string;
  readonly what?: string;
  readonly percent?: number;
  readonly position?: number;
  readonly estimateMs?: number;
}

export interface ApiUnit {
  /** `service/chroma`, `model/smollm2:135m`. */
  readonly id: string;
  readonly kind: 'service' | 'model' | 'job';
  readonly name: string;
  /** The unit that this is another instance of (`service/chroma~2` of `service/chroma`); null for the unit itself. */
  readonly copyOf: string | null;
  readonly title: string;
  readonly summary: string;
  readonly category: string | null;
  readonly tier: string;
  readonly state: ApiUnitState;
  /** Why it is in this state, as a sentence for people. */
  readonly why: string;
  readonly pinned: boolean;
  readonly bytes: {
    readonly declared: number;
    readonly learned: number | null;
    readonly measured: number | null;
    readonly reserved: number;
  };
  /** Null for what needs no graphics card. */
  readonly vram?: ApiVram | null;
  /** With which it computes while it is leased; 0 for what mostly waits for others. */
  readonly threads?: number;
  readonly leases: number;
  readonly waiters: number;
  readonly idleMs: number | null;
  /** Without use for so long, it goes to sleep; null where it doesn't by itself. */
  readonly idleAfterMs?: number | null;
  readonly progress: ApiProgress | null;
  readonly failure: { readonly message: string; readonly log: readonly string[]; readonly retryAt?: string } | null;
  readonly url: string | null;
  readonly instance: {
    readonly id: string;
    /** How it runs. */
    readonly way?: 'process' | 'docker';
    readonly pid: number | null;
    readonly port: number | null;
    readonly startedAt: string;
    /** `user`: its own, by number. `files`: whether it writes nothing but its own. Absent of containers, and of what nothing confines. */
    readonly confined?: { readonly user: number | null; readonly files: boolean };
  } | null;
}

export interface ApiIssuerProblem {
  readonly issuer: string;
  readonly problem: string;
}

export interface ApiState {
  readonly platform: {
    readonly version: string;
    readonly url: string;
    readonly home: string;
    readonly startedAt: string;
    readonly pid: number;
    /** Issuers of tokens (`security.oidc`) whose keys could not be had the last time, and why. */
    readonly issuers?: readonly ApiIssuerProblem[];
  };
  readonly ledger: ApiLedger;
  readonly units: readonly ApiUnit[];
}

export interface ApiLedgerLines extends ApiLedger {
  readonly lines: readonly {
    readonly id: string;
    readonly state: ApiUnitState;
    readonly reserved: number;
    readonly measured: number | null;
    readonly learned: number | null;
    readonly vram?: ApiVram | null;
  }[];
}

export interface ApiModel {
  readonly id: string;
  readonly name: string;
  readonly summary: string;
  readonly aliases: readonly string[];
  readonly engine: string;
  /** The file in the store; null until it was pulled. */
  readonly pulled: {
    readonly sha256: string;
    readonly bytes: number;
    readonly source: string;
    readonly path: string;
    readonly pulledAt: string;
  } | null;
  /** What the definition says of the file's size. */
  readonly sizeBytes: number;
  readonly state: ApiUnitState;
  /** What it takes in memory once loaded, read from the file's header; null until it was pulled. */
  readonly plan: {
    readonly weights: number;
    readonly kv: number;
    readonly compute: number;
    readonly overhead: number;
    readonly total: number;
  } | null;
  /** How much of it is on a graphics card, with the bytes that it then takes there and in main memory; null for nothing. */
  readonly card?: {
    readonly device: string;
    readonly layers: number;
    readonly vramBytes: number;
    readonly ramBytes: number | null;
  } | null;
  readonly context: number;
  readonly slots: number;
}

export interface ApiModelDetails extends ApiModel {
  readonly header: Readonly<Record<string, string | number | null>> | null;
  readonly sources: readonly unknown[];
  /** What was planned beside what was measured; null until the file is here. */
  readonly estimate: ApiEstimate | null;
  /** The longest context that fits the limit; null until the file is here. */
  readonly fit: ApiFit | null;
  /** What the name has stood for, newest first; empty until a file is here. */
  readonly versions: readonly ApiModelVersion[];
}

export interface ApiModelList {
  readonly models: readonly ApiModel[];
}

/** `progress` of a pull. */
export type ApiPullProgress = Progress;

/** `done` of a pull. */
export interface ApiPulled {
  readonly model: ApiModelDetails;
}

/** What is wrong with a file a person wrote, and where. `line` and `column` count from 1. */
export interface ApiFileProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly key: string;
  readonly message: string;
}

export interface ApiCatalog {
  readonly services: readonly {
    readonly id: string;
    readonly name: string;
    readonly summary: string;
    readonly category: string;
    readonly tier: string;
    readonly kind: string;
    readonly origin: 'built-in' | 'user';
    readonly path: string;
  }[];
  readonly models: readonly {
    readonly id: string;
    readonly name: string;
    readonly summary: string;
    readonly origin: 'built-in' | 'user';
    readonly path: string;
  }[];
  readonly disabled: readonly {
    readonly kind: 'service' | 'model';
    readonly id: string;
    readonly path: string;
    readonly problems: readonly ApiFileProblem[];
  }[];
}

export interface ApiDefinition {
  readonly kind: 'service' | 'model';
  readonly origin: 'built-in' | 'user';
  readonly path: string;
  /** The file as it was written. */
  readonly text: string;
  readonly definition: unknown;
}

/** A line of what happens, `event: log` of `/sutaz/v1/events`. */
export interface ApiEvent {
  readonly at: string;
  readonly type: string;
  readonly unit?: string;
  readonly message: string;
}

export interface ApiConsoleLink {
  /** Works once, and until `expiresAt`. */
  readonly url: string;
  readonly expiresAt: string;
}

export interface ApiStopping {
  readonly status: 'stopping';
}

/** The process that goes on. */
export interface ApiRestarted {
  readonly url: string;
  readonly pid: number;
}

/** RFC 9457, with our code of `#kernel/faults` and who spoke. */
export interface ApiProblem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly traceId: string;
  readonly source: 'gateway' | 'upstream';
  /** The parameter that is wrong. */
  readonly param?: string;
  /** Seconds. */
  readonly retryAfter?: number;
}
