import type { WaiterId } from '#kernel/ids';
import { createShares, restart, tagFor, taken } from './shares.ts';
import type { Shares } from './shares.ts';
import type { Waiter, WaiterClass } from './types.ts';

/** A waiter as it stands in its unit's queue. */
export interface Queued extends Waiter {
  /** The order of arrival over all units. */
  readonly seq: number;
  readonly since: number;
  /** Its fair turn among the principals of its class (`shares.ts`). */
  readonly tag: number;
  /** By class; `agedRank` once it waited past the bound. */
  rank: number;
}

/** Before every class. */
export const agedRank = -1;
export const rankOf: Readonly<Record<WaiterClass, number>> = { interactive: 0, default: 1, batch: 2 };

/**
 * Who waits for a unit, or for any of its replicas. `line` is in the order of their turns: those who waited past the
 * bound, then by class, and within each by fair shares, then as they came.
 */
export interface Queue {
  /** As they came. */
  readonly waiters: Map<WaiterId, Queued>;
  readonly line: Queued[];
  /** By class and principal. */
  readonly own: Map<string, Own>;
  readonly shares: Shares;
  /** Nobody's bound is reached before it; found anew once it has passed. */
  nextAgeing: number;
  /** No deadline is before it; found anew once it has passed. */
  nextDeadline: number;
}

/** What one principal has in the queue in one class. */
interface Own {
  /** When one of them was served last: the next one's patience counts from there. */
  servedAt: number;
  /** As they came, which is also the order of their turns. */
  readonly waiters: Set<Queued>;
}

export const createQueue = (): Queue => ({
  waiters: new Map(),
  line: [],
  own: new Map(),
  shares: createShares(),
  nextAgeing: Infinity,
  nextDeadline: Infinity,
});

const before = (a: Queued, b: Queued): number => a.rank - b.rank || a.tag - b.tag || a.seq - b.seq;

/** Where it stands in the line, or would. */
function place(line: readonly Queued[], waiter: Queued): number {
  let [low, high] = [0, line.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = line[middle];
    if (other && before(other, waiter) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

const nameOf = ({ class: rank, principal }: Waiter): string => `${rank} ${principal}`;

/** `ageingMs`: nobody's patience is shorter. That it is longer now and then is seen when it would have ended (`age`). */
export function enqueue(queue: Queue, waiter: Waiter, seq: number, ageingMs: number, now: number): void {
  const tag = tagFor(queue.shares, waiter.principal, 1);
  const queued: Queued = { ...waiter, seq, since: now, tag, rank: rankOf[waiter.class] };
  queue.waiters.set(queued.id, queued);
  const own = queue.own.get(nameOf(queued)) ?? { servedAt: -Infinity, waiters: new Set() };
  queue.own.set(nameOf(queued), own);
  own.waiters.add(queued);
  queue.nextAgeing = Math.min(queue.nextAgeing, now + ageingMs);
  queue.line.splice(place(queue.line, queued), 0, queued);
  if (queued.deadline < queue.nextDeadline) queue.nextDeadline = queued.deadline;
}

/** Takes one out of the line; false when it does not stand there. */
export function dequeue(queue: Queue, id: WaiterId, ageingMs: number): boolean {
  const waiter = queue.waiters.get(id);
  if (!waiter) return false;
  queue.waiters.delete(id);
  forget(queue, waiter, ageingMs);
  queue.line.splice(place(queue.line, waiter), 1);
  if (queue.line.length === 0) clear(queue);
  return true;
}

/** Takes out whose turn it is. */
export function next(queue: Queue, ageingMs: number, now: number): Queued | undefined {
  const waiter = queue.line.shift();
  if (!waiter) return undefined;
  queue.waiters.delete(waiter.id);
  const own = queue.own.get(nameOf(waiter));
  if (own) own.servedAt = now;
  forget(queue, waiter, ageingMs);
  taken(queue.shares, waiter.tag);
  if (queue.line.length === 0) clear(queue);
  return waiter;
}

/** Whose patience counts now that this one is gone. */
function forget(queue: Queue, waiter: Queued, ageingMs: number): void {
  const own = queue.own.get(nameOf(waiter));
  if (!own) return;
  own.waiters.delete(waiter);
  for (const first of own.waiters) {
    queue.nextAgeing = Math.min(queue.nextAgeing, agesAt(first, own, ageingMs));
    return;
  }
}

const agesAt = (waiter: Queued, { servedAt }: Own, ageingMs: number): number =>
  waiter.rank === agedRank ? Infinity : Math.max(waiter.since, servedAt) + ageingMs;

export function clear(queue: Queue): void {
  queue.waiters.clear();
  queue.own.clear();
  queue.line.length = 0;
  queue.nextDeadline = Infinity;
  queue.nextAgeing = Infinity;
  restart(queue.shares);
}

/**
 * Puts those who waited past the bound before the others. Only the first of each principal and class can have: who asks
 * for much waits for its own requests, and does not outrun the others by them.
 */
export function age(queue: Queue, patienceMs: number, ageingMs: number, now: number): void {
  if (queue.nextAgeing > now) return;
  let nearest = Infinity;
  for (const own of queue.own.values()) {
    for (const first of own.waiters) {
      const at = agesAt(first, own, patienceMs);
      if (at <= now) promote(queue, first);
      else nearest = Math.min(nearest, at);
      break;
    }
  }
  // Looked at again before that too: patience comes back to the bound once what was asked for is served.
  queue.nextAgeing = nearest === Infinity ? Infinity : Math.min(nearest, now + ageingMs);
}

function promote(queue: Queue, waiter: Queued): void {
  queue.line.splice(place(queue.line, waiter), 1);
  waiter.rank = agedRank;
  queue.line.splice(place(queue.line, waiter), 0, waiter);
}

/** Those whose deadline has passed, taken out. */
export function overdue(queue: Queue, ageingMs: number, now: number): Queued[] {
  if (queue.nextDeadline > now) return [];
  const late = [...queue.waiters.values()].filter(({ deadline }) => deadline <= now);
  for (const { id } of late) dequeue(queue, id, ageingMs);
  let nearest = Infinity;
  for (const { deadline } of queue.waiters.values()) nearest = Math.min(nearest, deadline);
  queue.nextDeadline = nearest;
  return late;
}
