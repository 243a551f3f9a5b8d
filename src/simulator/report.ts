import type { Outcome } from './engine.ts';
import type { Arrival } from './trace.ts';

/** The result as it is printed: the fields in this order, new ones at the end. Milliseconds and bytes. */
export interface Report {
  readonly policy: string;
  readonly requests: number;
  readonly served: number;
  readonly refused: number;
  readonly coldStarts: number;
  readonly thaws: number;
  readonly evictions: number;
  /** Of the served: from arrival to grant. */
  readonly waitMs: { readonly p50: number; readonly p95: number; readonly p99: number; readonly max: number };
  /** The largest p95 that a principal had. */
  readonly slowestPrincipalP95Ms: number;
  readonly maxReservedBytes: number;
  readonly limitBytes: number;
  readonly byteSeconds: number;
  readonly wallMs: number;
  readonly eventsPerSecond: number;
  /** Virtual time until the last request was served. */
  readonly virtualMs: number;
  readonly meanWaitMs: number;
}

/** The smallest value that so large a part of the sorted ones do not exceed (nearest rank); 0 of none. */
export function percentile(sorted: Float64Array, part: number): number {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
}

export const sortedWaits = (waits: Iterable<number>): Float64Array =>
  Float64Array.from(waits)
    .filter((ms) => !Number.isNaN(ms))
    .sort();

const round = (value: number): number => Math.round(value * 1_000) / 1_000;

export function reportOf(outcome: Outcome, arrivals: readonly Arrival[]): Report {
  const waits = sortedWaits(outcome.waits);
  const total = waits.reduce((sum, ms) => sum + ms, 0);
  return {
    policy: outcome.policy,
    requests: arrivals.length,
    served: waits.length,
    refused: arrivals.length - waits.length,
    coldStarts: outcome.coldStarts,
    thaws: outcome.thaws,
    evictions: outcome.evictions,
    waitMs: {
      p50: round(percentile(waits, 0.5)),
      p95: round(percentile(waits, 0.95)),
      p99: round(percentile(waits, 0.99)),
      max: round(percentile(waits, 1)),
    },
    slowestPrincipalP95Ms: round(slowestPrincipal(outcome.waits, arrivals)),
    maxReservedBytes: outcome.maxReservedBytes,
    limitBytes: outcome.limitBytes,
    byteSeconds: round(outcome.byteSeconds),
    wallMs: round(outcome.wallMs),
    eventsPerSecond: Math.round((outcome.events / Math.max(outcome.wallMs, 0.001)) * 1_000),
    virtualMs: round(outcome.endMs),
    meanWaitMs: round(waits.length === 0 ? 0 : total / waits.length),
  };
}

function slowestPrincipal(waits: Float64Array, arrivals: readonly Arrival[]): number {
  const byPrincipal = new Map<string, number[]>();
  for (const [i, { principal }] of arrivals.entries()) {
    const list = byPrincipal.get(principal);
    if (list) list.push(waits[i] ?? NaN);
    else byPrincipal.set(principal, [waits[i] ?? NaN]);
  }
  let slowest = 0;
  for (const list of byPrincipal.values()) slowest = Math.max(slowest, percentile(sortedWaits(list), 0.95));
  return slowest;
}
