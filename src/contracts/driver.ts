import type { Clock } from '#kernel/clock';
import type { Logger } from '#kernel/logger';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface Driver {
  /** Releases everything `open` acquired. Safe to call twice, and after a failed start. */
  close(): Promise<void>;
}

/** What the platform lends a driver. */
export interface DriverHost {
  readonly log: Logger;
  readonly clock: Clock;
  /** Aborts when the platform closes. */
  readonly signal: AbortSignal;
}

/**
 * The life of a driver: defined (a plain value, nothing loaded), opened (its library is imported, its connections made),
 * used, closed. `open` leaves nothing behind when it throws.
 */
export interface DriverDefinition<D extends Driver, Options> {
  /** `<contract>.<name>`: `runtime.process`. One language for listing, logs, metrics and configuration. */
  readonly id: string;
  open(options: Options, host: DriverHost): Promise<D>;
}

export const defineDriver = <D extends Driver, Options>(definition: DriverDefinition<D, Options>) => definition;
