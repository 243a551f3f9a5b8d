import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { createSingleFlight } from '#kernel/single-flight';
import type { SingleFlight } from '#kernel/single-flight';
import type { Awake, Caller } from './wake.ts';

/**
 * An open connection to a unit whose silent ones are no work. Its lease is given back once nothing was said on it for a
 * while, either way, and the first byte takes one again.
 */
export interface Line {
  /**
   * Bytes came, from either side. Null when they may pass at once; else they wait for the promise, which wakes the unit.
   * Rejects with UPSTREAM_FAILED and the reason when it cannot be woken, or is not the one that the connection is with.
   */
  said(): Promise<void> | null;
  /** Whether it holds no lease and asks for none. */
  isSilent(): boolean;
  /** It has closed, `broken` when the unit broke it off: whatever it holds is given back. A second call does nothing. */
  close(broken?: boolean): void;
}

export interface LinesOptions {
  readonly clock: Clock;
  readonly wake: (unit: UnitId, caller: Caller) => Awake | Promise<Awake>;
}

export interface Lines {
  /** `awake` is the connection's own lease; it goes with the first silence of `silenceMs` milliseconds. */
  open(unit: UnitId, awake: Awake, caller: Omit<Caller, 'signal'>, silenceMs: number): Line;
}

/** What the lines to one instance share: after their first silence they have one lease together. */
interface Group {
  readonly unit: UnitId;
  readonly origin: string;
  readonly waking: SingleFlight<void>;
  lines: number;
  held: Held | null;
}

/**
 * Those that were silent share one lease and one place in the queue: a thousand of them may speak up at once, which is more
 * than a unit has slots and than may wait for it, and none may be cut for that.
 */
export function createLines(options: LinesOptions): Lines {
  const groups = new Map<string, Group>();
  return {
    open(unit, awake, caller, silenceMs) {
      const { origin } = awake.target;
      const key = `${unit} ${origin}`;
      const group = groups.get(key) ?? { unit, origin, waking: createSingleFlight<void>(), lines: 0, held: null };
      groups.set(key, group);
      group.lines++;
      const own = untilSilent(awake, options.clock, silenceMs);
      const closed = awake.leaveOpen();
      const closing = new AbortController();
      return {
        said() {
          if (own.said() || group.held?.said()) return null;
          const asker = (signal: AbortSignal) => ({ ...caller, signal, goesOn: true });
          return group.waking.run('', closing.signal, (signal) => rouse(group, asker(signal), silenceMs, options));
        },
        isSilent: () => !own.isHeld() && !group.held?.isHeld() && !group.waking.has(''),
        close(broken = false) {
          if (closing.signal.aborted) return;
          closing.abort(new Fault('CANCELLED', 'The connection has closed.'));
          own.end(broken);
          closed();
          if (--group.lines > 0) return;
          group.held?.end(broken);
          groups.delete(key);
        },
      };
    },
  };
}

async function rouse(group: Group, caller: Caller, silenceMs: number, { wake, clock }: LinesOptions): Promise<void> {
  const { unit, origin } = group;
  const awake = await (async () => wake(unit, caller))().catch((error: unknown) => {
    throw unwoken(unit, error, caller.signal);
  });
  // Everyone has closed meanwhile, or the instance that they spoke with is gone.
  if (group.lines > 0 && awake.target.origin === origin) {
    group.held = untilSilent(awake, clock, silenceMs);
    return;
  }
  awake.release();
  if (group.lines > 0) throw unwoken(unit, new Error('its instance is another one by now'), caller.signal);
}

/** One code for all reasons: what was said is lost to an open connection, however soon the next one may succeed. */
function unwoken(unit: UnitId, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return error;
  const why = error instanceof Error ? error.message : String(error);
  const message = `A silent connection to ${unit} was closed, since the unit could not be woken for it: ${why}`;
  return new Fault('UPSTREAM_FAILED', message, { cause: error });
}

interface Held {
  /** Says whether there still is a lease; then the silence begins anew. */
  said(): boolean;
  isHeld(): boolean;
  end(broken?: boolean): void;
}

/** A lease that ends by itself after a silence. */
function untilSilent(awake: Awake, clock: Clock, silenceMs: number): Held {
  let saidAt = clock.now();
  let held = true;
  // Looked at when it may be over: a timer for every chunk would cost more than passing it on.
  const look = () => {
    const left = saidAt + silenceMs - clock.now();
    if (left > 0) cancel = clock.after(left, look);
    else end();
  };
  const end = (broken = false) => {
    if (!held) return;
    held = false;
    cancel();
    awake.release(broken);
  };
  let cancel = clock.after(silenceMs, look);
  return {
    said() {
      if (held) saidAt = clock.now();
      return held;
    },
    isHeld: () => held,
    end,
  };
}
