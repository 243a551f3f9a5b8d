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
  /** Who has not waited past the bound yet, as they came. */
  readonly young: Set<Queued>;
  readonly shares: Shares;
  /** No deadline is before it; found anew once it has passed. */
  nextDeadline: number;
}

export const createQueue = (): Queue => ({
  waiters: new Map(),
  line: [],
  young: new Set(),
  shares: createShares(),
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

export function enqueue(queue: Queue, waiter: Waiter, seq: number, now: number): void {
  const tag = tagFor(queue.shares, waiter.principal, 1);
  const queued: Queued = { ...waiter, seq, since: now, tag, rank: rankOf[waiter.class] };
  queue.waiters.set(queued.id, queued);
  queue.young.add(queued);
  queue.line.splice(place(queue.line, queued), 0, queued);
  if (queued.deadline < queue.nextDeadline) queue.nextDeadline = queued.deadline;
}

/** Takes one out of the line; false when it does not stand there. */
export function dequeue(queue: Queue, id: WaiterId): boolean {
  const waiter = queue.waiters.get(id);
  if (!waiter) return false;
  queue.waiters.delete(id);
  queue.young.delete(waiter);
  queue.line.splice(place(queue.line, waiter), 1);
  if (queue.line.length === 0) clear(queue);
  return true;
}

/** Takes out whose turn it is. */
export function next(queue: Queue): Queued | undefined {
  const waiter = queue.line.shift();
  if (!waiter) return undefined;
  queue.waiters.delete(waiter.id);
  queue.young.delete(waiter);
  taken(queue.shares, waiter.tag);
  if (queue.line.length === 0) clear(queue);
  return waiter;
}

export function clear(queue: Queue): void {
  queue.waiters.clear();
  queue.young.clear();
  queue.line.length = 0;
  queue.nextDeadline = Infinity;
  restart(queue.shares);
}

/** One sum for both who asks and who wakes: `now - since >= ageing` may differ from it by a rounding, and wake nobody. */
export const agesAt = (waiter: Queued, ageingMs: number): number => waiter.since + ageingMs;

/** Puts those who waited past the bound before the others. */
export function age(queue: Queue, ageingMs: number, now: number): void {
  for (const waiter of queue.young) {
    if (agesAt(waiter, ageingMs) > now) return;
    queue.young.delete(waiter);
    queue.line.splice(place(queue.line, waiter), 1);
    waiter.rank = agedRank;
    queue.line.splice(place(queue.line, waiter), 0, waiter);
  }
}

export function nextAgeing({ young }: Queue, ageingMs: number): number {
  for (const waiter of young) return agesAt(waiter, ageingMs);
  return Infinity;
}

/** Those whose deadline has passed, taken out. */
export function overdue(queue: Queue, now: number): Queued[] {
  if (queue.nextDeadline > now) return [];
  const late = [...queue.waiters.values()].filter(({ deadline }) => deadline <= now);
  for (const { id } of late) dequeue(queue, id);
  let nearest = Infinity;
  for (const { deadline } of queue.waiters.values()) nearest = Math.min(nearest, deadline);
  queue.nextDeadline = nearest;
  return late;
}
