import type { WaiterId } from '#kernel/ids';
import type { State, Unit } from './state.ts';
import { reservedOf } from './state.ts';
import type { Effect, Reason, Refusal } from './types.ts';

/** Refuses everyone who waits for the unit. */
export function refuse(unit: Unit, refusal: Refusal, effects: Effect[]): void {
  for (const waiter of unit.waiters.keys()) effects.push({ kind: 'refuse', waiter, unit: unit.spec.id, refusal });
  unit.waiters.clear();
}

/** Gives the waiter a slot. The caller has taken it out of the queue. */
export function lease(unit: Unit, waiter: WaiterId, effects: Effect[]): void {
  unit.leases.add(waiter);
  if (unit.phase.kind === 'ready') unit.phase.idleSince = null;
  effects.push({ kind: 'grant', waiter, unit: unit.spec.id });
}

export function begin(unit: Unit, bytes: number, now: number, effects: Effect[]): void {
  unit.phase = { kind: 'starting', since: now, bytes };
  effects.push({ kind: 'start', unit: unit.spec.id, bytes });
}

/** Begins a stop, whatever the unit was about. The bytes stay charged until the instance is gone. */
export function stop(unit: Unit, reason: Reason, now: number, effects: Effect[]): void {
  forgiveFailures(unit);
  unit.phase = { kind: 'stopping', since: now, bytes: reservedOf(unit) };
  unit.reason = reason;
  unit.stopWanted = null;
  effects.push({ kind: 'stop', unit: unit.spec.id, reason });
}

export function freeze(unit: Unit, reason: Reason, now: number, effects: Effect[]): void {
  forgiveFailures(unit);
  unit.phase = { kind: 'freezing', since: now, bytes: reservedOf(unit) };
  unit.reason = reason;
  effects.push({ kind: 'freeze', unit: unit.spec.id });
}

export function thaw(unit: Unit, reason: Reason, now: number, effects: Effect[]): void {
  unit.phase = { kind: 'thawing', since: now, bytes: reservedOf(unit) };
  unit.reason = reason;
  effects.push({ kind: 'thaw', unit: unit.spec.id });
}

export function becomeReady(unit: Unit, now: number): void {
  unit.intent = false;
  unit.phase = { kind: 'ready', since: now, bytes: reservedOf(unit), idleSince: now };
}

export function becomeCold(unit: Unit): void {
  unit.phase = { kind: 'cold' };
  unit.leases.clear();
  unit.measuredBytes = null;
  unit.stopWanted = null;
}

/** The time from which an unleased unit counts as idle. Those who wait for it don't move it: they may yet leave. */
export function markIdle(unit: Unit, now: number): void {
  if (unit.phase.kind === 'ready' && unit.leases.size === 0) unit.phase.idleSince = now;
}

/** A unit that is put to sleep while ready did start properly: the failures before are no longer in a row. */
function forgiveFailures(unit: Unit): void {
  if (unit.phase.kind === 'ready') unit.failure = null;
}

interface End {
  readonly code: 'failed' | 'exited';
  readonly message: string;
  readonly permanent: boolean;
}

/** The instance is gone and nobody asked for that: backoff, and after too many in a row quarantine. */
export function fail(unit: Unit, end: End, state: State, now: number, effects: Effect[]): void {
  if (!('bytes' in unit.phase)) return;
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
    const message = `${unit.spec.id} could not be started: ${end.message}`;
    refuse(unit, { code: 'START_FAILED', message, retryAfterMs: settings.quarantineMs }, effects);
  } else {
    const delay = Math.min(settings.backoffMaxMs, settings.backoffFirstMs * 2 ** (count - 1));
    unit.phase = { kind: 'backoff', until: now + delay };
  }
}
