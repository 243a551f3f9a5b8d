import type { Cancel, Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { openConnection } from './connection.ts';
import type { Connection } from './connection.ts';
import { createLine } from './line.ts';
import type { Place } from './place.ts';

export interface PoolSettings {
  /** Connections at most. Who comes then waits in line. */
  readonly connections: number;
  /** Milliseconds for which an unused connection is kept where the server says nothing. */
  readonly keptMs: number;
  /** Milliseconds in which a connection must be there. */
  readonly connectMs: number;
}

/** The connections to one place. */
export interface Pool {
  /**
   * Calls back with a connection: at once with the one that was used last or a new one, later when all are taken.
   * `fresh` asks for a new one where there may be one. When the signal aborts first, or the pool is closed, it calls
   * `left` instead.
   */
  take(
    signal: AbortSignal,
    fresh: boolean,
    use: (connection: Connection) => void,
    left: (error: unknown) => void,
  ): void;
  readonly isUnused: boolean;
  close(): void;
}

interface Idle {
  readonly connection: Connection;
  readonly until: number;
}

/** Less than a server says by this much: what is sent at the very end would meet its good-bye. */
const marginMs = 1_000;

export function createPool(place: Place, clock: Clock, settings: () => PoolSettings): Pool {
  const all = new Set<Connection>();
  /** Those unused, the last one used at the end: it is the likeliest to be alive, and the others get to be let go. */
  const idle: Idle[] = [];
  const line = createLine();
  let cancel: Cancel | null = null;
  let closed = false;

  const open = (): Connection => {
    const { connectMs } = settings();
    const connection = openConnection({ place, clock, connectMs, free });
    all.add(connection);
    return connection;
  };
  const free = (connection: Connection, usable: boolean): void => {
    if (!usable) {
      all.delete(connection);
      const at = idle.findIndex((one) => one.connection === connection);
      if (at >= 0) idle.splice(at, 1);
    }
    if (closed) return connection.destroy();
    const next = line.next();
    if (next) return next(usable ? connection : open());
    if (usable) keep(connection);
  };
  const keep = (connection: Connection): void => {
    const said = connection.keptMs;
    const ms = said === null ? settings().keptMs : Math.max(0, said - marginMs);
    idle.push({ connection, until: clock.now() + ms });
    cancel ??= clock.after(ms, sweep);
  };
  const sweep = (): void => {
    cancel = null;
    const now = clock.now();
    for (const { connection } of idle.filter(({ until }) => until <= now)) connection.destroy();
    const next = Math.min(...idle.map(({ until }) => until));
    if (next < Infinity) cancel = clock.after(next - now, sweep);
  };
  const kept = (): Connection | null => {
    const now = clock.now();
    for (let one = idle.pop(); one; one = idle.pop()) {
      if (one.until > now) return one.connection;
      one.connection.destroy();
    }
    return null;
  };

  return {
    take(signal, fresh, use, left) {
      if (closed) return left(closedFault());
      const unused = fresh ? null : kept();
      if (unused) return use(unused);
      if (all.size < settings().connections) return use(open());
      const spare = kept();
      if (spare) return use(spare);
      line.join(signal, use, left);
    },
    get isUnused() {
      return all.size === 0 && line.isEmpty;
    },
    close() {
      closed = true;
      cancel?.();
      line.refuseAll(closedFault());
      for (const connection of [...all]) connection.destroy(closedFault());
    },
  };
}

const closedFault = () => new Fault('SHUTTING_DOWN', 'The connections to this address were closed.');
