import { abortFault } from '#kernel/abort';
import type { Cancel, Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { newWaiterId } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import { loadForecast } from './forecast-saved.ts';
import type { SavedForecast } from './forecast-saved.ts';
import { nextDue } from './account.ts';
import { createState } from './state.ts';
import type { State } from './state.ts';
import { step } from './step.ts';
import type { Effect, Event, Reason, Refusal, Settings, WaiterClass } from './types.ts';

/**
 * What the scheduler may do to instances. Each call returns at once; its end comes back through `dispatch`, and there
 * is always one: `started` or `failed`, `stopped`, `frozen`, `thawed`, or `exited` instead of any of them.
 * `stop` may come while a start, a freeze or a thaw is under way, and takes its place: that one's end is not waited for.
 */
export interface Effects {
  start(unit: UnitId, bytes: number): void;
  stop(unit: UnitId, reason: Reason): void;
  freeze(unit: UnitId): void;
  thaw(unit: UnitId): void;
}

/** The right to use a unit. Whoever holds it calls `release` in a `finally`; a second call does nothing. */
export interface Lease {
  readonly id: WaiterId;
  /** The one that serves: the unit that was asked for, or a copy of it. */
  readonly unit: UnitId;
  /**
   * Says that what was begun under it stays open when it is released: until the function it returns is called, the
   * instance may be frozen and is not stopped but by a person. While it is still held.
   */
  leaveOpen(): () => void;
  release(): void;
}

export interface Acquire {
  readonly unit: UnitId;
  readonly class: WaiterClass;
  readonly principal: string;
  /** Milliseconds to wait at most; without it as long as the signal allows. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
  /** It goes on with what was begun under an earlier lease: it is not turned away where too many wait already. */
  readonly goesOn?: boolean;
  /** Called once with the id under which the waiter stands in the queue, for `positionOf`. */
  readonly onQueued?: (id: WaiterId) => void;
  /** Asked when the caller leaves: true when it will come back, so that the start goes on. */
  readonly keepOnLeave?: () => boolean;
}

export interface Scheduler {
  /** Takes the event in its turn. Throws NOT_FOUND when it asks something of a unit that is not there. */
  dispatch(event: Event): void;
  /**
   * A place on the unit: at once where one is free, without a promise in between, since that is so for most; else later.
   * Rejects with the Fault that says why not, and at once when the signal aborts.
   */
  acquire(request: Acquire): Lease | Promise<Lease>;
  /** The account, to read only. */
  readonly state: State;
  /** Refuses whoever still waits and stops the timer. Stops no unit. */
  close(): void;
}

export interface SchedulerOptions {
  readonly settings: Settings;
  readonly limitBytes: number;
  /** What an earlier run learned. */
  readonly forecast?: SavedForecast;
  readonly clock: Clock;
  readonly effects: Effects;
  /** After every batch of events: something may have changed. */
  readonly onChange?: () => void;
  /** Every effect and event as it happens, for logs and metrics. */
  readonly onEffect?: (effect: Effect) => void;
  readonly onEvent?: (event: Event) => void;
  /**
   * What an effect or one of the three above threw, or an event dispatched from within: a fault of the platform, and none
   * of the caller's whose event was being taken. The rest is carried out all the same. By default it is thrown from a
   * microtask, where nothing hides it.
   */
  readonly onFault?: (error: unknown) => void;
}

interface Pending {
  granted(by: UnitId): void;
  refused(refusal: Refusal): void;
}

/** The one writer of the account: takes events in the order they come and carries out what `step` decides. */
export function createScheduler(options: SchedulerOptions): Scheduler {
  const { clock } = options;
  const state = createState(options.settings, options.limitBytes, options.forecast && loadForecast(options.forecast));
  const pending = new Map<WaiterId, Pending>();
  const attempt = guard(options.onFault ?? throwLater);
  const alarm = createAlarm(clock, () => dispatch({ kind: 'tick' }));
  const queue: Event[] = [];
  let draining = false;

  const take = (event: Event) => {
    attempt(() => options.onEvent?.(event));
    for (const effect of step(state, event, clock.now())) {
      attempt(() => options.onEffect?.(effect));
      const carriedOut = attempt(() => carryOut(effect, options.effects, pending));
      // Nothing will report this start's end, and a unit that starts for ever would hold its bytes for ever.
      if (!carriedOut && effect.kind === 'start') queue.push(unstarted(effect.unit));
    }
  };
  const dispatch = (event: Event) => {
    // An effect may dispatch from within: its event is taken after the ones before it, never in between.
    if (draining) return void queue.push(event);
    draining = true;
    try {
      take(event);
    } finally {
      for (let next = queue.shift(); next; next = queue.shift()) {
        const event = next;
        attempt(() => take(event));
      }
      draining = false;
      alarm.set(nextDue(state));
      attempt(() => options.onChange?.());
    }
  };

  return {
    state,
    dispatch,
    acquire: (request) => acquire(request, { clock, pending, dispatch }),
    close() {
      if (!state.closing) dispatch({ kind: 'shutdown' });
      alarm.close();
    },
  };
}

function carryOut(effect: Effect, world: Effects, pending: ReadonlyMap<WaiterId, Pending>): void {
  switch (effect.kind) {
    case 'start':
      return world.start(effect.unit, effect.bytes);
    case 'stop':
      return world.stop(effect.unit, effect.reason);
    case 'freeze':
      return world.freeze(effect.unit);
    case 'thaw':
      return world.thaw(effect.unit);
    case 'grant':
      return pending.get(effect.waiter)?.granted(effect.unit);
    case 'refuse':
      return pending.get(effect.waiter)?.refused(effect.refusal);
  }
}

const unstarted = (unit: UnitId): Event => ({
  kind: 'failed',
  unit,
  message: 'The platform could not begin the start; its log says why.',
  permanent: false,
});

/** Runs something, and hands what it throws to `onFault`; says whether it went well. */
const guard =
  (onFault: (error: unknown) => void) =>
  (run: () => void): boolean => {
    try {
      run();
      return true;
    } catch (error) {
      onFault(error);
      return false;
    }
  };

function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

interface Alarm {
  /** Rings at that time at the latest, perhaps at an earlier one set before. Infinity: never. */
  set(at: number): void;
  close(): void;
}

function createAlarm(clock: Clock, ring: () => void): Alarm {
  let armed = Infinity;
  let cancel: Cancel = () => undefined;
  let closed = false;
  return {
    set(at) {
      // A tick that comes early finds nothing to do; arming a timer at every event costs more than deciding what it means.
      if (closed || at >= armed) return;
      cancel();
      armed = at;
      cancel = clock.after(at - clock.now(), () => {
        armed = Infinity;
        ring();
      });
    },
    close() {
      closed = true;
      cancel();
    },
  };
}

interface Desk {
  readonly clock: Clock;
  readonly pending: Map<WaiterId, Pending>;
  readonly dispatch: (event: Event) => void;
}

function acquire(request: Acquire, { clock, pending, dispatch }: Desk): Lease | Promise<Lease> {
  const { unit, signal, class: rank, principal, goesOn = false } = request;
  if (signal.aborted) return Promise.reject(abortFault(signal));
  const id = newWaiterId();
  const atOnce: { lease?: Lease; fault?: Fault } = {};
  pending.set(id, {
    granted: (by) => void (atOnce.lease = leaseOf(id, by, dispatch)),
    refused: (refusal) => void (atOnce.fault = faultOf(refusal)),
  });
  const deadline = request.timeoutMs === undefined ? Infinity : clock.now() + request.timeoutMs;
  try {
    dispatch({ kind: 'request', waiter: { id, unit, class: rank, principal, deadline, goesOn } });
  } catch (error) {
    pending.delete(id);
    return Promise.reject(error as Error);
  }
  const { lease, fault } = atOnce;
  if (!lease && !fault) return queued(id, request, { pending, dispatch });
  pending.delete(id);
  return lease ?? Promise.reject(fault as Fault);
}

function queued(id: WaiterId, request: Acquire, { pending, dispatch }: Omit<Desk, 'clock'>): Promise<Lease> {
  const { unit, signal } = request;
  return new Promise<Lease>((resolve, reject) => {
    const settle = () => {
      pending.delete(id);
      signal.removeEventListener('abort', onAbort);
    };
    const onAbort = () => {
      settle();
      reject(abortFault(signal));
      dispatch({ kind: 'leave', waiter: id, unit, keep: request.keepOnLeave?.() ?? false });
    };
    pending.set(id, {
      granted(by) {
        settle();
        resolve(leaseOf(id, by, dispatch));
      },
      refused(refusal) {
        settle();
        reject(faultOf(refusal));
      },
    });
    signal.addEventListener('abort', onAbort, { once: true });
    request.onQueued?.(id);
    // What was called back may have ended the wait before anybody listened.
    if (signal.aborted && pending.has(id)) onAbort();
  });
}

function leaseOf(id: WaiterId, unit: UnitId, dispatch: (event: Event) => void): Lease {
  let held = true;
  return {
    id,
    unit,
    leaveOpen() {
      dispatch({ kind: 'opened', waiter: id, unit });
      return () => dispatch({ kind: 'closed', waiter: id, unit });
    },
    release() {
      if (!held) return;
      held = false;
      dispatch({ kind: 'release', waiter: id, unit });
    },
  };
}

function faultOf({ code, message, retryAfterMs, details }: Refusal): Fault {
  return new Fault(code, message, {
    ...(retryAfterMs === undefined ? {} : { retryAfter: Math.max(1, Math.ceil(retryAfterMs / 1000)) }),
    ...(details === undefined ? {} : { details }),
  });
}
