import type { Arrival } from '../trace.ts';
import type { UnitsFile } from '../units.ts';

export interface TraceOptions {
  /** So many times the limit all units together need. */
  readonly factor: number;
  /** How many arrivals, about. */
  readonly arrivals: number;
}

export const usualOptions: TraceOptions = { factor: 6, arrivals: 5_000 };

export interface Trace {
  readonly units: UnitsFile;
  readonly arrivals: readonly Arrival[];
}

/** Makes a load from a seed: the same one for the same seed and options. */
export type Family = (seed: number, options: TraceOptions) => Trace;
