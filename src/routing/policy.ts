import type { Balance } from '#resilience/balance';
import type { BreakerSettings } from '#resilience/breaker';
import { defaultBreaker } from '#resilience/breaker';
import type { CanarySettings } from '#resilience/canary';
import type { HedgeSettings } from '#resilience/hedge';
import type { OutlierSettings } from '#resilience/outlier';
import type { RetrySettings } from '#resilience/retry';
import { defaultRetry } from '#resilience/retry';

/** Where a request for a unit goes. */
export interface Target {
  /** `http://127.0.0.1:41234` */
  readonly origin: string;
  /** Put before every path: `` or `/base`. */
  readonly basePath: string;
  /** What the door presents to it, when it asks for a key. */
  readonly key: string | null;
  /** How its certificate is judged, where that is not as usual. */
  readonly tls?: TargetTls;
}

export interface TargetTls {
  /** Different for whatever differs in the rest: connections made by one are not used by another. */
  readonly id: string;
  /** Certificates of those whose word counts, in PEM, in place of the system's. */
  readonly ca?: string;
  /** The name that its certificate must have, in place of that in its address. */
  readonly serverName?: string;
}

/** One of the places where a unit that runs elsewhere is. */
export interface Place {
  /** Its address as it is written, which is also its name in lists and metrics. */
  readonly url: string;
  /** Its part beside the others'. */
  readonly weight: number;
  readonly target: Target;
}

/** What a hash goes by: who asks, the conversation, how the prompt begins, or a header. */
export type HashBy = 'key' | 'conversation' | 'prefix' | `header:${string}`;

/** How an upstream is asked whether it is well, for as long as it is used. Times in milliseconds. */
export interface HealthPolicy {
  readonly path: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Bad answers in a row after which it is left out, and good ones after which it is back. */
  readonly bad: number;
  readonly good: number;
}

/** Milliseconds; Infinity where there is no limit. */
export interface Timeouts {
  /** Until an answer begins, for each try and for all of them together. */
  readonly tryMs: number;
  readonly totalMs: number;
  /** Between two pieces of an answer. */
  readonly idleMs: number;
}

/** How the requests for a unit are spread, tried again and given up. */
export interface Policy {
  /** Empty for what is started here: there the scheduler gives the place. */
  readonly places: readonly Place[];
  readonly balance: Balance;
  readonly hashBy: HashBy;
  /** Null where nothing is ever left alone. */
  readonly breaker: BreakerSettings | null;
  /** Statuses that count as failures of the upstream. */
  readonly failing: ReadonlySet<number>;
  readonly retry: RetrySettings;
  readonly outliers: OutlierSettings;
  readonly health: HealthPolicy | null;
  readonly timeouts: Timeouts;
  readonly canary: ({ readonly place: Place } & CanarySettings) | null;
  /** Gets a copy of a share of the requests, and no answer of it goes to anyone. */
  readonly mirror: { readonly place: Place; readonly share: number } | null;
  /** Null where reads go to one place at a time. */
  readonly hedge: HedgeSettings | null;
}

export const noTimeouts: Timeouts = { tryMs: Infinity, totalMs: Infinity, idleMs: Infinity };

/**
 * Of what is started here. Its statuses are its own affair: a path of it may well answer 503 to say something. A request that
 * ends an instance is tried once more at most, since it may well end the next one too.
 */
export const localPolicy: Pick<Policy, 'breaker' | 'failing' | 'retry' | 'timeouts'> = {
  breaker: defaultBreaker,
  failing: new Set(),
  retry: { ...defaultRetry, tries: 2 },
  timeouts: noTimeouts,
};
