/** The shapes of the platform's HTTP API that the console reads. Sizes are bytes, times are ISO 8601, spans are milliseconds. */

export const unitStates = [
  'cold',
  'preparing',
  'queued',
  'starting',
  'ready',
  'frozen',
  'freezing',
  'thawing',
  'stopping',
  'backoff',
  'quarantined',
  'disabled',
] as const;

/** `unknown` is ours: a newer platform may name a state that this page was not built with. */
export type UnitState = (typeof unitStates)[number] | 'unknown';
export type UnitKind = 'service' | 'model' | 'job';
export type Tier = 'core' | 'persistent' | 'on-demand';

export interface Platform {
  readonly version: string;
  readonly url: string;
  readonly home: string;
  readonly startedAt: string;
  readonly pid: number;
}

export interface Ledger {
  readonly limitBytes: number;
  readonly limitReason: string;
  readonly reservedBytes: number;
  readonly measuredBytes: number;
  readonly freeBytes: number;
}

export interface UnitBytes {
  readonly declared: number;
  readonly learned: number | null;
  readonly measured: number | null;
  readonly reserved: number;
}

/** How far a wake has come. Every part but the phase is absent when the platform cannot know it. */
export interface Progress {
  readonly phase: string;
  readonly what?: string;
  readonly percent?: number;
  readonly position?: number;
  readonly estimateMs?: number;
}

export interface Failure {
  readonly message: string;
  readonly log: readonly string[];
  readonly retryAt?: string;
}

export interface Instance {
  readonly id: string;
  readonly pid: number | null;
  readonly port: number | null;
  readonly startedAt: string;
}

export interface Unit {
  /** `service/chroma`, `model/smollm2:135m`. */
  readonly id: string;
  readonly kind: UnitKind;
  readonly name: string;
  /** The unit that this is another instance of; null for the unit itself. */
  readonly copyOf: string | null;
  readonly title: string;
  readonly summary: string;
  readonly category: string | null;
  readonly tier: Tier;
  readonly state: UnitState;
  readonly why: string;
  readonly pinned: boolean;
  readonly bytes: UnitBytes;
  readonly leases: number;
  readonly waiters: number;
  readonly idleMs: number | null;
  readonly progress: Progress | null;
  readonly failure: Failure | null;
  readonly url: string | null;
  readonly instance: Instance | null;
}

export interface PlatformState {
  readonly platform: Platform;
  readonly ledger: Ledger;
  readonly units: readonly Unit[];
}

/** Something that happened, for people to read. */
export interface LogEntry {
  readonly at: string;
  readonly type: string;
  readonly unit?: string;
  readonly message: string;
}

export type PlatformEvent =
  | { readonly type: 'state'; readonly state: PlatformState }
  | { readonly type: 'unit'; readonly unit: Unit }
  | { readonly type: 'ledger'; readonly ledger: Ledger }
  | { readonly type: 'log'; readonly entry: LogEntry }
  /** A keep-alive, or an event this page does not know: nothing changed, but the line is alive. */
  | { readonly type: 'alive' };

export type UnitAction = 'start' | 'stop' | 'pin' | 'unpin';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface ChatUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export type ChatEvent =
  | { readonly type: 'waiting'; readonly progress: Progress }
  | { readonly type: 'text'; readonly delta: string }
  | { readonly type: 'finish'; readonly reason: string }
  | { readonly type: 'usage'; readonly usage: ChatUsage };

/** Who consumes what of whom. */
export interface WiringMap {
  readonly edges: readonly WiringEdge[];
  readonly shared: readonly Shared[];
}

export interface WiringEdge {
  /** `service/chroma`, `model/smollm2:135m`; `door` for the platform itself. */
  readonly from: string;
  readonly to: string;
  /** Null where the other is only needed, or was asked without being bound to. */
  readonly capability: string | null;
  readonly way: 'door' | 'direct';
  /** Null where they do not pass through the door. */
  readonly requests: number | null;
  readonly lastSeen: string | null;
  /** How the key of the consumer's present instance begins; null where it does not run. */
  readonly key: string | null;
}

/** A provider that several have an account at. */
export interface Shared {
  readonly provider: string;
  readonly users: readonly string[];
  readonly bytes: number;
  readonly sparedBytes: number;
}
