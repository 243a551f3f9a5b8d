import type { Event } from '#scheduler/types';
import type { Policy } from '../policy.ts';
import {
  createDesk,
  drain,
  enough,
  evictedFor,
  join,
  keepFor,
  nextDeadline,
  note,
  room,
  serve,
  startPending,
  stop,
} from './desk.ts';
import type { Desk, Runner } from './desk.ts';

export interface Swapping {
  readonly name: string;
  /** What to do with those behind a unit that no room can be made for now: pass it by, or wait with it. */
  readonly blocked: 'pass' | 'wait';
  /** Whether a unit may be brought up while another is. */
  readonly parallel: boolean;
  /** The idle units in the order in which they make room. The default is least recently used first. */
  readonly victims?: (idle: Iterable<Runner>, now: number, target: Runner, missing: number) => Iterable<Runner>;
  /** Sees every event first. */
  readonly watch?: (event: Event, now: number) => void;
}

/**
 * What `lru`, `llama-swap` and `clairvoyant` have in common: a request for a ready unit is served at once when a slot is
 * free; cold units are brought up in the order of their oldest waiter, together with everyone who waits for them; idle units
 * make room.
 */
export function swapping(limitBytes: number, how: Swapping): Policy {
  const desk = createDesk(limitBytes);
  return {
    name: how.name,
    step(event, now) {
      how.watch?.(event, now);
      note(desk, event, now);
      if (event.kind === 'request') {
        const waiter = desk.waiting.get(event.waiter.id);
        if (waiter) {
          join(desk, waiter);
          serve(desk, waiter.runner, now);
        }
      } else if (event.kind === 'started' || event.kind === 'release') {
        const runner = desk.runners.get(event.unit);
        if (runner) serve(desk, runner, now);
      }
      bringUp(desk, how, now);
      startPending(desk);
      return drain(desk);
    },
    nextWake: () => nextDeadline(desk),
  };
}

function bringUp(desk: Desk, how: Swapping, now: number): void {
  for (const runner of desk.wanting) {
    if (!how.parallel && isSwapping(desk)) return;
    const victims = victimsFor(desk, runner, how, now);
    if (victims) {
      for (const victim of victims) stop(desk, victim, evictedFor(runner, victim));
      keepFor(desk, runner);
    } else if (how.blocked === 'wait') return;
  }
}

function isSwapping({ pending, runners }: Desk): boolean {
  if (pending.size > 0) return true;
  for (const { phase } of runners.values()) if (phase === 'starting') return true;
  return false;
}

/** None when it fits as it is; null when it does not even fit without the idle ones. */
function victimsFor(desk: Desk, target: Runner, how: Swapping, now: number): readonly Runner[] | null {
  const missing = target.bytes - room(desk);
  if (missing <= 0) return [];
  return enough(missing, how.victims?.(desk.idle, now, target, missing) ?? desk.idle);
}
