import type { UnitId } from '#kernel/ids';
import { isIdle } from './eviction.ts';
import { lease, refuse, settle, stop } from './settle.ts';
import { createUnit, isWanted, reservationOf, reservedOf, unitOf } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Effect, Event, Reason, UnitSpec, Waiter } from './types.ts';

type Handlers = {
  readonly [K in Event['kind']]: (
    state: State,
    event: Extract<Event, { kind: K }>,
    now: number,
    effects: Effect[],
  ) => void;
};

/**
 * The scheduler: changes the state by one event at one time, and says what is to be done. Pure but for the state it is
 * handed: no clock, no I/O, no randomness, so that the same events at the same times always do the same. An event that
 * no longer means anything (a release after a crash, a start that ends after its unit was stopped) changes nothing.
 */
export function step(state: State, event: Event, now: number): Effect[] {
  const effects: Effect[] = [];
  if (event.kind === 'request' && grantAtOnce(state, event.waiter, effects)) return effects;
  // The table is indexed by the event's own kind, which the compiler cannot follow through a union.
  const handle = handlers[event.kind] as (state: State, event: Event, now: number, effects: Effect[]) => void;
  handle(state, event, now, effects);
  effects.push(...settle(state, now));
  forgetRemoved(state);
  return effects;
}

/** The fast path: a ready unit with a free slot and nobody before. Decides without settling the whole account. */
function grantAtOnce(state: State, waiter: Waiter, effects: Effect[]): boolean {
  const unit = unitOf(state, waiter.unit);
  if (state.closing || unit.removed || unit.stopWanted || unit.phase.kind !== 'ready') return false;
  if (unit.waiters.size > 0 || unit.leases.size >= unit.spec.slots || agedElsewhere(state, unit)) return false;
  lease(unit, waiter.id, effects);
  return true;
}

/** Whether someone waits for memory: then the settled order decides, since this unit may be the one to give way. */
function agedElsewhere(state: State, self: Unit): boolean {
  for (const unit of state.units.values()) {
    if (unit !== self && unit.phase.kind === 'cold' && unit.waiters.size > 0) return true;
  }
  return false;
}

const handlers: Handlers = {
  configure(state, { units }, _now, effects) {
    const named = new Set(units.map(({ id }) => id));
    for (const spec of units) describe(state, spec);
    for (const unit of state.units.values()) {
      if (named.has(unit.spec.id)) continue;
      unit.removed = true;
      refuse(unit, { code: 'NOT_FOUND', message: `${unit.spec.id} is not in the catalogue any more.` }, effects);
    }
  },
  describe: (state, { unit }) => describe(state, unit),
  limit(state, { bytes }) {
    state.limitBytes = bytes;
  },
  request(state, { waiter }, now, effects) {
    const unit = unitOf(state, waiter.unit);
    const refusal = cannotWait(state, unit, now);
    if (refusal) effects.push({ kind: 'refuse', waiter: waiter.id, unit: waiter.unit, refusal });
    else unit.waiters.set(waiter.id, { ...waiter, seq: ++state.seq, since: now });
  },
  leave(state, { waiter, unit: id, keep }, now, effects) {
    const unit = state.units.get(id);
    if (!unit?.waiters.delete(waiter)) return;
    if (keep && !isServing(unit)) unit.intent = true;
    // Nobody is left for whom it starts: on a small machine its memory and its time are worth more elsewhere.
    if (unit.phase.kind === 'starting' && unit.waiters.size === 0 && !isWanted(unit)) {
      stop(unit, { code: 'abandoned' }, now, effects);
    }
  },
  release(state, { waiter, unit: id }, now) {
    const unit = state.units.get(id);
    if (unit?.leases.delete(waiter)) markIdle(unit, now);
  },
  wake(state, { unit: id }) {
    const unit = unitOf(state, id);
    if (unit.phase.kind === 'backoff' || unit.phase.kind === 'quarantined') {
      unit.phase = { kind: 'cold' };
      unit.failure = null;
    }
    unit.intent = !isServing(unit);
    unit.stopWanted = null;
  },
  stop(state, { unit: id, reason, force }, now, effects) {
    const unit = unitOf(state, id);
    unit.intent = false;
    if (unit.phase.kind === 'stopping' || !('bytes' in unit.phase)) return;
    if (force || (unit.leases.size === 0 && unit.waiters.size === 0)) stop(unit, reason, now, effects);
    else unit.stopWanted = reason;
  },
  pin(state, { unit: id, pinned }, now) {
    const unit = unitOf(state, id);
    unit.pinned = pinned;
    markIdle(unit, now);
  },
  recovered(state, { unit: id, frozen }, now) {
    const unit = unitOf(state, id);
    if ('bytes' in unit.phase) return;
    const bytes = reservationOf(unit);
    unit.reason = { code: 'recovered' };
    unit.phase = frozen ? { kind: 'frozen', since: now, bytes } : { kind: 'ready', since: now, bytes, idleSince: now };
  },
  started(state, { unit: id }, now) {
    const unit = unitOf(state, id);
    if (unit.phase.kind !== 'starting') return;
    unit.startMs = learn(unit.startMs, now - unit.phase.since);
    becomeReady(unit, now);
  },
  failed: (state, { unit: id, message, permanent }, now, effects) =>
    fail(unitOf(state, id), { message, permanent, code: 'failed' }, state, now, effects),
  exited: (state, { unit: id, message }, now, effects) =>
    fail(unitOf(state, id), { message, permanent: false, code: 'exited' }, state, now, effects),
  stopped(state, { unit: id }) {
    const unit = unitOf(state, id);
    if (unit.phase.kind === 'stopping') becomeCold(unit);
  },
  frozen(state, { unit: id }, now) {
    const unit = unitOf(state, id);
    if (unit.phase.kind === 'freezing') unit.phase = { kind: 'frozen', since: now, bytes: unit.phase.bytes };
  },
  thawed(state, { unit: id }, now) {
    const unit = unitOf(state, id);
    if (unit.phase.kind !== 'thawing') return;
    unit.reason = { code: 'asked', by: [...unit.waiters.values()][0]?.principal ?? 'nobody' };
    becomeReady(unit, now);
  },
  measured(state, { unit: id, bytes }) {
    const unit = state.units.get(id);
    if (!unit || !('bytes' in unit.phase)) return;
    unit.measuredBytes = bytes;
    unit.learnedBytes = Math.max(unit.learnedBytes ?? 0, bytes);
  },
  tick: () => undefined,
  shutdown(state, _event, _now, effects) {
    state.closing = true;
    for (const unit of state.units.values()) {
      refuse(unit, { code: 'SHUTTING_DOWN', message: 'The platform is stopping.', retryAfterMs: 5_000 }, effects);
    }
  },
};

function describe(state: State, spec: UnitSpec): void {
  const unit = state.units.get(spec.id);
  if (!unit) {
    state.units.set(spec.id, createUnit(spec));
    return;
  }
  // What this run learned is newer than what the caller remembers.
  unit.spec = spec;
  unit.learnedBytes = Math.max(unit.learnedBytes ?? 0, spec.learnedBytes ?? 0) || null;
  unit.removed = false;
}

function cannotWait(state: State, unit: Unit, now: number): Extract<Effect, { kind: 'refuse' }>['refusal'] | null {
  const { id } = unit.spec;
  if (state.closing) return { code: 'SHUTTING_DOWN', message: 'The platform is stopping.', retryAfterMs: 5_000 };
  if (unit.removed) return { code: 'NOT_FOUND', message: `${id} is not in the catalogue any more.` };
  if (unit.phase.kind === 'quarantined') {
    return {
      code: 'START_FAILED',
      message: `${id} failed to start ${unit.failure?.count ?? 1} times and is left alone for now: ${unit.failure?.message ?? ''}`,
      retryAfterMs: unit.phase.until - now,
    };
  }
  if (unit.waiters.size >= state.settings.maxWaiters) {
    const message = `${unit.waiters.size} requests wait for ${id} already.`;
    return { code: 'QUEUE_FULL', message, retryAfterMs: unit.startMs ?? 5_000 };
  }
  return null;
}

const isServing = (unit: Unit): boolean => unit.phase.kind === 'ready';

function becomeReady(unit: Unit, now: number): void {
  unit.intent = false;
  unit.phase = { kind: 'ready', since: now, bytes: reservedOf(unit), idleSince: now };
}

function becomeCold(unit: Unit): void {
  unit.phase = { kind: 'cold' };
  unit.leases.clear();
  unit.measuredBytes = null;
  unit.stopWanted = null;
}

function markIdle(unit: Unit, now: number): void {
  if (unit.phase.kind === 'ready' && isIdle(unit)) unit.phase.idleSince = now;
}

/** A third of the newest, as a start time varies with what the page cache happens to hold. */
const learn = (before: number | null, ms: number): number => (before === null ? ms : before + (ms - before) / 3);

interface End {
  readonly code: Extract<Reason['code'], 'failed' | 'exited'>;
  readonly message: string;
  readonly permanent: boolean;
}

/** A start that failed or an instance that ended by itself: backoff, and after too many in a row quarantine. */
function fail(unit: Unit, end: End, state: State, now: number, effects: Effect[]): void {
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

function forgetRemoved(state: State): void {
  const gone: UnitId[] = [];
  for (const unit of state.units.values()) {
    if (unit.removed && !('bytes' in unit.phase) && unit.waiters.size === 0) gone.push(unit.spec.id);
  }
  for (const id of gone) state.units.delete(id);
}
