import type { WaiterId } from '#kernel/ids';
import { touch } from './account.ts';
import { dropVram, holdVram } from './devices.ts';
import { missed } from './forecast.ts';
import { noteBusy, noteEnd, noteTime } from './pace.ts';
import { clear } from './queue.ts';
import type { State, Unit } from './state.ts';
import { chargedOf, leasesOf, originalUnit, reservationOf, reservedOf, siblingsOf } from './state.ts';
import type { Effect, Reason, Refusal } from './types.ts';
import type { Option } from './victims.ts';

/** Refuses everyone who waits for the unit. */
export function refuse(unit: Unit, refusal: Refusal, state: State, effects: Effect[]): void {
  // Whoever waits for the unit may be served by the first one as well as by a copy.
  if (unit.original === null) {
    for (const waiter of unit.waiters.keys()) effects.push({ kind: 'refuse', waiter, unit: unit.spec.id, refusal });
    clear(unit.queue);
  }
  touch(state, unit);
}

/** Gives the waiter a slot. The caller has taken it out of the queue. */
export function lease(unit: Unit, waiter: WaiterId, now: number, effects: Effect[]): void {
  occupy(unit, waiter, now);
  effects.push({ kind: 'grant', waiter, unit: unit.spec.id });
}

/** The slot is the waiter's, whoever told it so. */
export function occupy(unit: Unit, waiter: WaiterId, now: number): void {
  keepPace(unit, now);
  unit.leases.set(waiter, now);
  unit.worked = true;
  if (unit.phase.kind === 'ready') unit.phase.idleSince = null;
}

export function begin(unit: Unit, state: State, now: number, effects: Effect[]): void {
  const bytes = reservationOf(unit);
  unit.phase = { kind: 'starting', since: now, bytes };
  embody(unit);
  const { held } = unit.card;
  effects.push({ kind: 'start', unit: unit.spec.id, bytes, ...(held && { vram: held }) });
  touch(state, unit);
}

/** The facts of a new instance are those of now, whatever is described while it lives. */
export function embody(unit: Unit): void {
  unit.runsAs = unit.spec.learnedAs;
  unit.threads = unit.spec.threads ?? 0;
  holdVram(unit);
}

/** Begins a stop, whatever the unit was about. The bytes stay charged until the instance is gone. */
export function stop(unit: Unit, reason: Reason, state: State, now: number, effects: Effect[]): void {
  forgiveFailures(unit);
  missed(state, unit, now);
  unit.phase = { kind: 'stopping', since: now, bytes: reservedOf(unit) };
  unit.reason = reason;
  unit.stopWanted = null;
  effects.push({ kind: 'stop', unit: unit.spec.id, reason });
  touch(state, unit);
}

export function freeze(unit: Unit, reason: Reason, state: State, now: number, effects: Effect[]): void {
  forgiveFailures(unit);
  missed(state, unit, now);
  unit.phase = { kind: 'freezing', since: now, bytes: reservedOf(unit) };
  unit.reason = reason;
  effects.push({ kind: 'freeze', unit: unit.spec.id });
  touch(state, unit);
}

/** Does what was chosen to free bytes. */
export function putToSleep(
  { unit, act }: Option<Unit>,
  reason: Reason,
  state: State,
  now: number,
  effects: Effect[],
): void {
  if (act === 'stop') stop(unit, reason, state, now, effects);
  else freeze(unit, reason, state, now, effects);
}

/** The bytes that the freeze gave back are charged again from now on. */
export function thaw(unit: Unit, reason: Reason, state: State, now: number, effects: Effect[]): void {
  const bytes = Math.max(chargedOf(unit), reservationOf(unit));
  unit.measuredBytes = null;
  unit.phase = { kind: 'thawing', since: now, bytes };
  unit.reason = reason;
  effects.push({ kind: 'thaw', unit: unit.spec.id });
  touch(state, unit);
}

/** The freeze is done. What it keeps is what it kept before, until that is measured. */
export function becomeFrozen(unit: Unit, now: number): void {
  const held = chargedOf(unit);
  unit.measuredBytes = null;
  unit.phase = { kind: 'frozen', since: now, bytes: Math.min(held, unit.frozenBytes ?? held) };
}

/** `stayMs`: at least so long, unless it is asked to go. */
export function becomeReady(unit: Unit, stayMs: number, now: number): void {
  unit.intent = false;
  unit.phase = { kind: 'ready', since: now, until: now + stayMs, bytes: reservedOf(unit), idleSince: now };
}

/** What was learned comes down to what is used in so many runs, by two thirds: once is not a trend. */
const decayRuns = 8;

export function becomeCold(unit: Unit): void {
  if (unit.worked && isLearning(unit)) {
    const { learnedBytes, peakBytes, card } = unit;
    teach(unit, {
      learnedBytes: comeDown(learnedBytes, peakBytes),
      learnedVram: comeDown(card.learned, card.peak),
    });
  }
  dropVram(unit);
  unit.peakBytes = null;
  unit.worked = false;
  unit.phase = { kind: 'cold' };
  unit.leases.clear();
  unit.connections.clear();
  unit.measuredBytes = null;
  unit.stopWanted = null;
  unit.keepMs = null;
}

/** Bytes that were learned, after a run in which so many were used at most. */
const comeDown = (learned: number | null, peak: number | null): number | null =>
  learned === null || peak === null ? learned : Math.round(learned - Math.max(0, learned - peak) / decayRuns);

export interface Lesson {
  readonly learnedVram?: number | null;
  readonly learnedBytes?: number | null;
  readonly frozenBytes?: number | null;
  readonly startMs?: number | null;
  readonly thawMs?: number | null;
}

/** What one instance shows is true of the unit and all its copies. */
export function teach(unit: Unit, { learnedBytes, learnedVram, frozenBytes, startMs, thawMs }: Lesson): void {
  for (const one of siblingsOf(unit)) {
    if (learnedBytes !== undefined) one.learnedBytes = learnedBytes;
    if (learnedVram !== undefined) one.card.learned = learnedVram;
    if (frozenBytes !== undefined) one.frozenBytes = frozenBytes;
    if (startMs !== undefined) one.startMs = startMs;
    if (thawMs !== undefined) one.thawMs = thawMs;
  }
}

/** What the present instance shows holds for the next one: its settings are still the same. */
export const isLearning = ({ runsAs, spec }: Unit): boolean => runsAs === spec.learnedAs;

/** Before the number of leases changes. */
function keepPace(unit: Unit, now: number): void {
  if (unit.original === null && unit.copies.length === 0) return;
  noteTime(unit.stretch, unit.leases.size, now);
  noteBusy(unit.pace, leasesOf(unit), now);
}

/** Takes the lease back, and learns how long it was held; false when there is none. */
export function unlease(unit: Unit, waiter: WaiterId, now: number): boolean {
  const since = unit.leases.get(waiter);
  if (since === undefined) return false;
  keepPace(unit, now);
  const first = originalUnit(unit);
  if (first.copies.length > 0) noteEnd(unit.pace, unit.stretch, unit.spec.slots);
  unit.leases.delete(waiter);
  const held = now - since;
  first.holdMs = first.holdMs === null ? held : first.holdMs + (held - first.holdMs) / 8;
  markIdle(unit, now);
  return true;
}

/** The time from which an unleased unit counts as idle. Those who wait for it don't move it: they may yet leave. */
export function markIdle(unit: Unit, now: number): void {
  if (unit.phase.kind === 'ready' && unit.leases.size === 0) unit.phase.idleSince = now;
}

/** A unit that is put to sleep while ready did start properly: the failures before are no longer in a row. */
function forgiveFailures(unit: Unit): void {
  if (unit.phase.kind === 'ready') unit.failure = null;
}

/** Refuses who waits for what is left alone after its failures, where no copy serves in its stead. */
export function turnAwayHopeless(unit: Unit, state: State, now: number, effects: Effect[]): void {
  if (unit.waiters.size === 0 || unit.phase.kind !== 'quarantined' || unit.phase.until <= now) return;
  if (unit.copies.some((copy) => 'bytes' in copy.phase)) return;
  const message = `${unit.spec.id} could not be started: ${unit.failure?.message ?? ''}`;
  refuse(unit, { code: 'START_FAILED', message, retryAfterMs: unit.phase.until - now }, state, effects);
}

interface End {
  readonly code: 'failed' | 'exited';
  readonly message: string;
  readonly permanent: boolean;
}

/** The instance is gone and nobody asked for that: backoff, and after too many in a row quarantine. */
export function fail(unit: Unit, end: End, state: State, now: number, effects: Effect[]): void {
  if (!('bytes' in unit.phase)) return;
  missed(state, unit, now);
  if (unit.phase.kind === 'stopping') return becomeCold(unit);
  const { settings } = state;
  const lived = unit.phase.kind === 'ready' && now - unit.phase.since > settings.backoffMaxMs;
  const count = lived ? 1 : (unit.failure?.count ?? 0) + 1;
  becomeCold(unit);
  unit.failure = { message: end.message, count };
  unit.reason = { code: end.code, message: end.message };
  if (end.permanent || count >= settings.maxFailures) {
    unit.phase = { kind: 'quarantined', until: now + settings.quarantineMs };
    unit.intent = false;
    turnAwayHopeless(originalUnit(unit), state, now, effects);
  } else {
    const delay = Math.min(settings.backoffMaxMs, settings.backoffFirstMs * 2 ** (count - 1));
    unit.phase = { kind: 'backoff', until: now + delay };
  }
}
