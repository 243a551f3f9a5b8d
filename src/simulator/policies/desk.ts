import type { UnitId, WaiterId } from '#kernel/ids';
import { createHeap, first, pop, push } from '#scheduler/heap';
import type { Entry, Heap } from '#scheduler/heap';
import type { Effect, Event, Reason, UnitSpec, Waiter } from '#scheduler/types';

/** A unit as the comparison policies see it: they know no freezing, and of priorities and tiers only what is always on. */
export interface Runner {
  readonly spec: UnitSpec;
  readonly bytes: number;
  phase: 'cold' | 'starting' | 'ready' | 'stopping';
  leases: number;
  /** When its last lease began or ended. */
  lastUsed: number;
  readonly waiting: Map<WaiterId, Waiting>;
  /** Memory is kept for it, and it starts as soon as that is there. */
  pending: boolean;
}

export interface Waiting extends Waiter {
  readonly since: number;
  readonly runner: Runner;
}

/** What the comparison policies have in common: who waits, what runs, and what is reserved, in bytes. */
export interface Desk {
  readonly limitBytes: number;
  readonly runners: Map<UnitId, Runner>;
  /** In the order in which they came. */
  readonly waiting: Map<WaiterId, Waiting>;
  /** Cold or stopping units that somebody waits for and for which no memory is kept, the one with the oldest waiter first. */
  readonly wanting: Set<Runner>;
  /** Memory is kept for them, in the order in which they got it. */
  readonly pending: Set<Runner>;
  /** Ready with neither lease nor waiter; what was used least recently comes first. */
  readonly idle: Set<Runner>;
  readonly deadlines: Heap<Entry & { readonly waiter: Waiting }>;
  seq: number;
  /** Held now; of that, by what is stopping; and kept for what is pending. */
  charged: number;
  incoming: number;
  kept: number;
  /** Held for good by what is always on. */
  fixed: number;
  readonly effects: Effect[];
}

export const createDesk = (limitBytes: number): Desk => ({
  limitBytes,
  runners: new Map(),
  waiting: new Map(),
  wanting: new Set(),
  pending: new Set(),
  idle: new Set(),
  deadlines: createHeap(),
  ...{ seq: 0, charged: 0, incoming: 0, kept: 0, fixed: 0 },
  effects: [],
});

/** Bytes that nobody holds or will have, once what is stopping is gone. */
export const room = ({ limitBytes, charged, incoming, kept }: Desk): number => limitBytes - charged + incoming - kept;

export const isCore = ({ spec }: Runner): boolean => spec.tier === 'core';

/** Takes the event into the account. What follows from it is the policy's to decide. */
export function note(desk: Desk, event: Event, now: number): void {
  if (event.kind === 'configure') return configure(desk, event.units);
  if (event.kind === 'request') return enter(desk, event.waiter, now);
  if (event.kind === 'tick') return expire(desk, now);
  if (!('unit' in event) || typeof event.unit !== 'string') return;
  const runner = desk.runners.get(event.unit);
  if (!runner) return;
  if (event.kind === 'started') {
    runner.phase = 'ready';
    used(desk, runner, now);
  } else if (event.kind === 'stopped') {
    runner.phase = 'cold';
    desk.charged -= runner.bytes;
    desk.incoming -= runner.bytes;
  } else if (event.kind === 'release') {
    runner.leases--;
    used(desk, runner, now);
  }
}

function configure(desk: Desk, units: readonly UnitSpec[]): void {
  for (const spec of units) {
    const bytes = spec.declaredBytes;
    const runner: Runner = { spec, bytes, phase: 'cold', leases: 0, lastUsed: 0, waiting: new Map(), pending: false };
    desk.runners.set(spec.id, runner);
    if (!isCore(runner) || desk.fixed + bytes > desk.limitBytes) continue;
    desk.fixed += bytes;
    keepFor(desk, runner);
  }
}

function enter(desk: Desk, waiter: Waiter, now: number): void {
  const runner = desk.runners.get(waiter.unit);
  if (!runner) throw new Error(`No unit ${waiter.unit} was configured.`);
  const others = desk.fixed - (isCore(runner) ? runner.bytes : 0);
  if (runner.bytes > desk.limitBytes - others) {
    const message = `${waiter.unit} can never fit.`;
    desk.effects.push({
      kind: 'refuse',
      waiter: waiter.id,
      unit: waiter.unit,
      refusal: { code: 'NO_MEMORY', message },
    });
    return;
  }
  const waiting: Waiting = { ...waiter, since: now, runner };
  desk.waiting.set(waiter.id, waiting);
  if (waiter.deadline < Infinity) push(desk.deadlines, { at: waiter.deadline, seq: ++desk.seq, waiter: waiting });
}

/** Puts the waiter to its unit, which is then wanted if it does not run. */
export function join(desk: Desk, waiter: Waiting): void {
  const { runner } = waiter;
  runner.waiting.set(waiter.id, waiter);
  desk.idle.delete(runner);
  const runs = runner.phase === 'ready' || runner.phase === 'starting';
  if (!runs && !runner.pending) desk.wanting.add(runner);
}

/** Keeps its place among the idle, by when it was used last. */
function used(desk: Desk, runner: Runner, now: number): void {
  runner.lastUsed = now;
  desk.idle.delete(runner);
  if (isIdle(runner)) desk.idle.add(runner);
}

const isIdle = (runner: Runner): boolean =>
  runner.phase === 'ready' && runner.leases === 0 && runner.waiting.size === 0 && !isCore(runner);

/** Gives the slots of a ready unit to those who wait for it, in the order in which they came. */
export function serve(desk: Desk, runner: Runner, now: number): void {
  if (runner.phase !== 'ready') return;
  for (const [id, waiter] of runner.waiting) {
    if (runner.leases >= runner.spec.slots) return;
    runner.waiting.delete(id);
    desk.waiting.delete(id);
    runner.leases++;
    desk.effects.push({ kind: 'grant', waiter: waiter.id, unit: runner.spec.id });
    used(desk, runner, now);
  }
}

/** Keeps memory for the unit, which the caller found to be there or coming. */
export function keepFor(desk: Desk, runner: Runner): void {
  desk.wanting.delete(runner);
  desk.pending.add(runner);
  desk.kept += runner.bytes;
  runner.pending = true;
}

/** Starts what memory is kept for, as far as that is there. */
export function startPending(desk: Desk): void {
  for (const runner of desk.pending) {
    if (runner.phase !== 'cold') continue;
    if (runner.waiting.size === 0 && !isCore(runner)) {
      // Whoever it was for did not wait so long.
      forget(desk, runner);
      continue;
    }
    if (desk.charged + runner.bytes > desk.limitBytes) continue;
    forget(desk, runner);
    runner.phase = 'starting';
    desk.charged += runner.bytes;
    desk.effects.push({ kind: 'start', unit: runner.spec.id, bytes: runner.bytes });
  }
}

function forget(desk: Desk, runner: Runner): void {
  desk.pending.delete(runner);
  desk.kept -= runner.bytes;
  runner.pending = false;
}

export function stop(desk: Desk, runner: Runner, reason: Reason): void {
  runner.phase = 'stopping';
  desk.idle.delete(runner);
  desk.incoming += runner.bytes;
  desk.effects.push({ kind: 'stop', unit: runner.spec.id, reason });
}

export const evictedFor = (target: Runner, { bytes }: Runner): Reason => ({
  ...{ code: 'evicted', for: target.spec.id, bytes, costMs: 0, sums: [] },
});

/** Those whose deadline passed are refused, by every policy alike: their clients have left. */
function expire(desk: Desk, now: number): void {
  for (let next = first(desk.deadlines); next && next.at <= now; next = first(desk.deadlines)) {
    pop(desk.deadlines);
    const { waiter } = next;
    if (!desk.waiting.delete(waiter.id)) continue;
    const { runner, id } = waiter;
    runner.waiting.delete(id);
    if (runner.waiting.size === 0) {
      desk.wanting.delete(runner);
      if (isIdle(runner)) used(desk, runner, now);
    }
    const message = `${runner.spec.id} was not ready in time.`;
    desk.effects.push({ kind: 'refuse', waiter: id, unit: runner.spec.id, refusal: { code: 'TIMEOUT', message } });
  }
}

/** When the next deadline passes. Some that were met stand among them: they ring for nothing. */
export function nextDeadline(desk: Desk): number {
  for (let next = first(desk.deadlines); next; next = first(desk.deadlines)) {
    if (desk.waiting.has(next.waiter.id)) return next.at;
    pop(desk.deadlines);
  }
  return Infinity;
}

/** Hands over what is to be done. */
export function drain({ effects }: Desk): Effect[] {
  return effects.splice(0);
}

/** Taken in that order until they free enough; then whatever a later one made superfluous is let live. Null: not enough. */
export function enough(missing: number, order: Iterable<Runner>): Runner[] | null {
  const chosen: Runner[] = [];
  let freed = 0;
  for (const runner of order) {
    if (freed >= missing) break;
    chosen.push(runner);
    freed += runner.bytes;
  }
  if (freed < missing) return null;
  return chosen
    .reverse()
    .filter(({ bytes }) => {
      if (freed - bytes < missing) return true;
      freed -= bytes;
      return false;
    })
    .reverse();
}
