import { abortFault } from '#kernel/abort';
import type { Cancel, Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { newWaiterId } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import { nextWake } from './settle.ts';
import { createState } from './state.ts';
import type { State } from './state.ts';
import { step } from './step.ts';
import type { Effect, Event, Reason, Refusal, Settings, WaiterClass } from './types.ts';

/** What the scheduler may do to instances. Each call returns at once; its end comes back through `dispatch`. */
export interface Effects {
  start(unit: UnitId, bytes: number): void;
  stop(unit: UnitId, reason: Reason): void;
  freeze(unit: UnitId): void;
  thaw(unit: UnitId): void;
}

/** The right to use a unit. Whoever holds it calls `release` in a `finally`; a second call does nothing. */
export interface Lease {
  readonly id: WaiterId;
  readonly unit: UnitId;
  release(): void;
}

export interface Acquire {
  readonly unit: UnitId;
  readonly class: WaiterClass;
  readonly principal: string;
  /** Milliseconds to wait at most; without it as long as the signal allows. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
  /** Called once with the id under which the waiter stands in the queue, for `positionOf`. */
  readonly onQueued?: (id: WaiterId) => void;
  /** Asked when the caller leaves: true when it will come back, so that the start goes on. */
  readonly keepOnLeave?: () => boolean;
}

export interface Scheduler {
  dispatch(event: Event): void;
  /** Waits for a place on the unit. Rejects with the Fault that says why not, and at once when the signal aborts. */
  acquire(request: Acquire): Promise<Lease>;
  /** The account, to read only. */
  readonly state: State;
  close(): void;
}

export interface SchedulerOptions {
  readonly settings: Settings;
  readonly limitBytes: number;
  readonly clock: Clock;
  readonly effects: Effects;
  /** After every batch of events: something may have changed. */
  readonly onChange?: () => void;
  /** Every effect and event as it happens, for logs and metrics. Must not throw. */
  readonly onEffect?: (effect: Effect) => void;
  readonly onEvent?: (event: Event) => void;
}

interface Pending {
  granted(): void;
  refused(refusal: Refusal): void;
}

/** The one writer of the account: takes events in the order they come and carries out what `step` decides. */
export function createScheduler(options: SchedulerOptions): Scheduler {
  const { clock, effects: world } = options;
  const state = createState(options.settings, options.limitBytes);
  const pending = new Map<WaiterId, Pending>();
  const queue: Event[] = [];
  let draining = false;
  let closed = false;
  let timer: Cancel = () => undefined;

  const carryOut = (effect: Effect) => {
    options.onEffect?.(effect);
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
        return pending.get(effect.waiter)?.granted();
      case 'refuse':
        return pending.get(effect.waiter)?.refused(effect.refusal);
    }
  };
  const dispatch = (event: Event) => {
    queue.push(event);
    // An effect may dispatch from within: its event is taken after the ones before it, never in between.
    if (draining) return;
    draining = true;
    try {
      for (let next = queue.shift(); next; next = queue.shift()) {
        options.onEvent?.(next);
        for (const effect of step(state, next, clock.now())) carryOut(effect);
      }
    } finally {
      draining = false;
    }
    schedule();
    options.onChange?.();
  };
  const schedule = () => {
    timer();
    const now = clock.now();
    const at = nextWake(state, now);
    timer = closed || at === Infinity ? () => undefined : clock.after(at - now, () => dispatch({ kind: 'tick' }));
  };

  return {
    state,
    dispatch,
    acquire: (request) => acquire(request, { clock, pending, dispatch }),
    close() {
      closed = true;
      timer();
    },
  };
}

interface Desk {
  readonly clock: Clock;
  readonly pending: Map<WaiterId, Pending>;
  readonly dispatch: (event: Event) => void;
}

function acquire(request: Acquire, { clock, pending, dispatch }: Desk): Promise<Lease> {
  const { unit, signal } = request;
  if (signal.aborted) return Promise.reject(abortFault(signal));
  const id = newWaiterId();
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
      granted() {
        settle();
        resolve(leaseOf(id, unit, dispatch));
      },
      refused(refusal) {
        settle();
        reject(faultOf(refusal));
      },
    });
    signal.addEventListener('abort', onAbort, { once: true });
    const deadline = request.timeoutMs === undefined ? Infinity : clock.now() + request.timeoutMs;
    try {
      dispatch({
        kind: 'request',
        waiter: { id, unit, class: request.class, principal: request.principal, deadline },
      });
    } catch (error) {
      settle();
      reject(error as Error);
      return;
    }
    if (pending.has(id)) request.onQueued?.(id);
  });
}

function leaseOf(id: WaiterId, unit: UnitId, dispatch: (event: Event) => void): Lease {
  let held = true;
  return {
    id,
    unit,
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
