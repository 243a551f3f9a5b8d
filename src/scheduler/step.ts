import type { UnitId } from '#kernel/ids';
import { listIdle, markBusy, restsAt, touch } from './account.ts';
import { bookThreads, hasCoresAtOnce } from './cores.ts';
import { isOverOnAny, measureVram, setDevices } from './devices.ts';
import { forgetGuesses, met, noteRequest, setTime } from './forecast.ts';
import { bearsOf, serverOf } from './load.ts';
import {
  becomeCold,
  becomeFrozen,
  becomeReady,
  embody,
  fail,
  isLearning,
  lease,
  markIdle,
  occupy,
  refuse,
  stop,
  teach,
  unlease,
} from './moves.ts';
import { dequeue, enqueue } from './queue.ts';
import { describeCopies } from './scaling.ts';
import { settle } from './settle.ts';
import {
  createUnit,
  idleAfterOf,
  isConnected,
  isWanted,
  originalUnit,
  reservationOf,
  siblingsOf,
  unitOf,
} from './state.ts';
import type { State, Unit } from './state.ts';
import type { Effect, Event, Found, Refusal, UnitSpec, Waiter } from './types.ts';

type Of<K extends Event['kind']> = Extract<Event, { kind: K }>;

type Handlers = {
  readonly [K in Event['kind']]: (state: State, event: Of<K>, now: number, effects: Effect[]) => void;
};

/**
 * The scheduler: changes the state by one event at one time, and says what is to be done. Pure but for the state it is
 * handed: no clock, no I/O, no randomness, so that the same events at the same times always do the same. An event that
 * no longer means anything (a release after a crash, a start that ends after its unit was stopped or forgotten) changes
 * nothing. Only what a person asks of a unit that is not there (wake, stop, pin) throws: NOT_FOUND, and nothing changed.
 */
export function step(state: State, event: Event, now: number): Effect[] {
  const effects: Effect[] = [];
  if (event.kind === 'request') {
    const granted = grantAtOnce(state, event.waiter, now, effects);
    if (granted === 'settle') settle(state, now, effects);
    if (granted) return effects;
  }
  if (event.kind === 'release' && releaseAtOnce(state, event, now)) return effects;
  // The table is indexed by the event's own kind, which the compiler cannot follow through a union.
  const handle = handlers[event.kind] as (state: State, event: Event, now: number, effects: Effect[]) => void;
  handle(state, event, now, effects);
  const subject = subjectOf(event);
  const unit = subject && state.units.get(subject);
  // What waits for one waits for its copies too.
  if (unit) for (const one of siblingsOf(unit)) touch(state, one);
  settle(state, now, effects);
  return effects;
}

/** The unit that the event is about; null when it is about all of them. */
function subjectOf(event: Event): UnitId | null {
  if (event.kind === 'request') return event.waiter.unit;
  if (!('unit' in event)) return null;
  return typeof event.unit === 'string' ? event.unit : event.unit.id;
}

/**
 * The fast path: a ready unit, or a copy of it, with a free slot and nobody before. Decides without settling the whole
 * account; `settle` when what comes after it is worth bringing up now, or when another copy may be.
 */
function grantAtOnce(state: State, waiter: Waiter, now: number, effects: Effect[]): boolean | 'settle' {
  const unit = state.units.get(waiter.unit);
  const server = unit && serverOf(unit, state, hasRoom);
  if (!unit || !server) return false;
  // While a copy serves, the first one may be coming up for a guess, which this ends.
  const guessed = server !== unit && unit.guessed !== null;
  const news = noteRequest(state, unit, waiter, now) || guessed;
  lease(server, waiter.id, now, effects);
  markBusy(state, server);
  if (!news && !isScaling(unit)) return true;
  touch(state, unit);
  return 'settle';
}

/** The way back: nobody waits for the slot, and the unit's time to rest comes by a tick. */
function releaseAtOnce(state: State, { waiter, unit: id }: Of<'release'>, now: number): boolean {
  const unit = state.units.get(id);
  if (!unit || !concernsItAlone(unit, state)) return false;
  if (!unit.leases.has(waiter)) return true;
  // How long it was held may call for another copy.
  if (originalUnit(unit).copies.some(({ phase }) => phase.kind !== 'ready')) return false;
  // The last lease of a unit: what waits for memory may have it now, and what was idle for its time goes to sleep.
  if (unit.leases.size === 1 && (isWantedBack(unit, state) || idleAfterOf(unit) <= 0)) return false;
  unlease(unit, waiter, now);
  bookThreads(state, unit);
  if (unit.leases.size === 0) listIdle(state, unit);
  if (unit.leases.size === 0 && restsAt(unit) < unit.booked.dueAt) touch(state, unit);
  return true;
}

/** Whether somebody waits for what the unit holds, or too much is held. */
const isWantedBack = (unit: Unit, state: State): boolean =>
  state.claims.length > 0 || isOver(state) || (unit.threads > 0 && state.cores.waiting.size > 0);

const isOver = (state: State): boolean =>
  state.totals.charged - state.totals.incoming > state.limitBytes || isOverOnAny(state);

const hasRoom = (unit: Unit, state: State): boolean =>
  concernsItAlone(unit, state) && unit.leases.size < unit.spec.slots && hasCoresAtOnce(unit, state);

/** Whether it may have more copies, and all of those there are busy. */
const isScaling = (unit: Unit): boolean =>
  unit.copies.length > 0 &&
  unit.leases.size >= bearsOf(unit) &&
  unit.copies.some(({ phase }) => phase.kind !== 'ready');

const concernsItAlone = (unit: Unit, { held }: State): boolean =>
  unit.phase.kind === 'ready' && unit.waiters.size === 0 && !unit.stopWanted && !unit.removed && !held.has(unit);

const handlers: Handlers = {
  configure(state, { units, found = [] }, now, effects) {
    const named = new Set(units.map(({ id }) => id));
    for (const spec of units) describe(state, spec);
    for (const one of found) takeOver(state, one, now);
    for (const unit of state.units.values()) {
      if (!named.has(originalUnit(unit).spec.id)) remove(state, unit, effects);
      touch(state, unit);
    }
  },
  forget(state, { unit: id }, _now, effects) {
    const unit = state.units.get(id);
    if (unit) for (const one of siblingsOf(unit)) remove(state, one, effects);
  },
  describe: (state, { unit }) => describe(state, unit),
  clock: (state, { localMs }, now) => setTime(state, localMs, now),
  settings(state, { settings }, now) {
    state.settings = settings;
    if (!settings.prediction) forgetGuesses(state);
    for (const unit of state.units.values()) {
      unit.queue.nextAgeing = now;
      touch(state, unit);
    }
    state.stirred = true;
  },
  limit(state, { bytes }) {
    state.limitBytes = bytes;
    state.stirred = true;
  },
  devices: (state, { devices }) => setDevices(state, devices),
  cores(state, { cores }) {
    state.cores.total = cores;
    // How many copies are of use depends on them.
    for (const unit of state.units.values()) if (unit.copies.length > 0) touch(state, unit);
  },
  request(state, { waiter }, now, effects) {
    const unit = state.units.get(waiter.unit);
    const refusal = unit ? cannotWait(state, unit, waiter, now) : notInCatalogue(waiter.unit);
    if (unit) noteRequest(state, unit, waiter, now);
    if (refusal || !unit)
      effects.push({ kind: 'refuse', waiter: waiter.id, unit: waiter.unit, refusal: refusal ?? stopping });
    else enqueue(unit.queue, waiter, ++state.seq, state.settings.ageingMs, now);
  },
  leave(state, { waiter, unit: id, keep }, now, effects) {
    const unit = state.units.get(id);
    if (!unit) return;
    // A grant that crossed it has no taker: the slot comes back.
    if (siblingsOf(unit).some((one) => unlease(one, waiter, now))) return;
    if (!dequeue(unit.queue, waiter, state.settings.ageingMs)) return;
    if (keep && !isServing(unit)) unit.intent = true;
    // Nobody is left for whom it starts: on a small machine its memory and its time are worth more elsewhere.
    if (unit.phase.kind === 'starting' && unit.waiters.size === 0 && !isWanted(unit)) {
      stop(unit, { code: 'abandoned' }, state, now, effects);
    }
  },
  release(state, { waiter, unit: id }, now) {
    const unit = state.units.get(id);
    if (unit) unlease(unit, waiter, now);
  },
  opened(state, { waiter, unit: id }) {
    const unit = state.units.get(id);
    if (unit?.leases.has(waiter)) unit.connections.add(waiter);
  },
  closed(state, { waiter, unit: id }) {
    const unit = state.units.get(id);
    if (!unit?.connections.delete(waiter)) return;
    // What waits for memory may have it stopped now.
    if (!isConnected(unit)) state.stirred = true;
  },
  wake(state, { unit: id }, now) {
    const unit = unitOf(state, id);
    markIdle(unit, now);
    if (unit.phase.kind === 'backoff' || unit.phase.kind === 'quarantined') {
      unit.phase = { kind: 'cold' };
      unit.failure = null;
    }
    met(state, unit, now);
    unit.intent = !isServing(unit);
    unit.stopWanted = null;
  },
  stop(state, { unit: id, reason, force }, now, effects) {
    const named = unitOf(state, id);
    // Whoever names the unit means all of its copies too.
    for (const unit of named.original ? [named] : siblingsOf(named)) {
      unit.intent = false;
      if (unit.phase.kind === 'stopping' || !('bytes' in unit.phase)) continue;
      const midway = unit.phase.kind === 'freezing' || unit.phase.kind === 'thawing';
      if (force || (unit.leases.size === 0 && !midway)) stop(unit, reason, state, now, effects);
      else unit.stopWanted = reason;
    }
  },
  pin(state, { unit: id, pinned }, now) {
    const unit = unitOf(state, id);
    unit.pinned = pinned;
    markIdle(unit, now);
  },
  keep(state, { unit: id, idleMs }) {
    const unit = state.units.get(id);
    if (unit) for (const one of siblingsOf(unit)) one.keepMs = idleMs;
  },
  recovered: (state, found, now) => takeOver(state, found, now),
  started(state, { unit: id }, now) {
    const unit = state.units.get(id);
    if (unit?.phase.kind !== 'starting') return;
    if (isLearning(unit)) teach(unit, { startMs: learn(unit.startMs, now - unit.phase.since) });
    becomeReady(unit, unit.guessed ? 0 : state.settings.minResidencyMs, now);
  },
  failed(state, { unit: id, message, permanent }, now, effects) {
    const unit = state.units.get(id);
    if (unit) fail(unit, { message, permanent, code: 'failed' }, state, now, effects);
  },
  exited(state, { unit: id, message }, now, effects) {
    const unit = state.units.get(id);
    if (unit) fail(unit, { message, permanent: false, code: 'exited' }, state, now, effects);
  },
  stopped(state, { unit: id }) {
    const unit = state.units.get(id);
    if (unit?.phase.kind === 'stopping') becomeCold(unit);
  },
  frozen(state, { unit: id }, now) {
    const unit = state.units.get(id);
    if (unit?.phase.kind === 'freezing') becomeFrozen(unit, now);
  },
  thawed(state, { unit: id }, now) {
    const unit = state.units.get(id);
    if (unit?.phase.kind !== 'thawing') return;
    const thawMs = learn(unit.thawMs, now - unit.phase.since);
    teach(unit, { thawMs });
    // What is cheap to wake needs not stay for long.
    becomeReady(unit, unit.guessed ? 0 : Math.min(state.settings.minResidencyMs, 10 * thawMs), now);
  },
  measured(state, { unit: id, bytes }) {
    const unit = state.units.get(id);
    if (!unit || !('bytes' in unit.phase)) return;
    unit.measuredBytes = bytes;
    if (!isLearning(unit)) return;
    if (unit.phase.kind === 'frozen') {
      teach(unit, { frozenBytes: bytes });
      return;
    }
    unit.peakBytes = Math.max(unit.peakBytes ?? 0, bytes);
    teach(unit, { learnedBytes: Math.max(unit.learnedBytes ?? 0, bytes) });
  },
  'measured-vram'(state, { unit: id, bytes }) {
    const unit = state.units.get(id);
    if (!unit || !('bytes' in unit.phase) || !unit.card.held) return;
    measureVram(unit, bytes, isLearning(unit));
    if (isLearning(unit)) teach(unit, { learnedVram: Math.max(unit.card.learned ?? 0, bytes) });
  },
  pressure(state, { level }) {
    // Copies that were held back may come now.
    if (level === 'none' && state.pressure !== 'none') {
      for (const unit of state.units.values()) if (unit.copies.length > 0) state.touched.add(unit);
    }
    state.pressure = level;
    state.relief = level !== 'none';
    state.stirred = true;
  },
  tick: () => undefined,
  shutdown(state, _event, _now, effects) {
    state.closing = true;
    for (const unit of state.units.values()) refuse(unit, stopping, state, effects);
  },
};

function remove(state: State, unit: Unit, effects: Effect[]): void {
  unit.removed = true;
  refuse(unit, notInCatalogue(unit.spec.id), state, effects);
}

function describe(state: State, spec: UnitSpec): void {
  const unit = state.units.get(spec.id);
  if (!unit) {
    const made = createUnit(spec, ++state.seq);
    state.units.set(spec.id, made);
    describeCopies(state, made);
    return;
  }
  const same = spec.learnedAs === unit.spec.learnedAs;
  unit.spec = spec;
  // What this run learned is newer than what the caller remembers.
  const newer = <T>(own: T | null, given: T | null): T | null => (same ? (own ?? given) : given);
  unit.learnedBytes = newer(unit.learnedBytes, spec.learnedBytes);
  unit.frozenBytes = newer(unit.frozenBytes, spec.rungs.frozenBytes);
  unit.card.learned = newer(unit.card.learned, spec.learnedVram ?? null);
  unit.startMs = newer(unit.startMs, spec.startMs);
  unit.thawMs = newer(unit.thawMs, spec.rungs.thawMs);
  unit.removed = false;
  describeCopies(state, unit);
}

const stopping: Refusal = { code: 'SHUTTING_DOWN', message: 'The platform is stopping.', retryAfterMs: 5_000 };

const notInCatalogue = (id: UnitId): Refusal => ({ code: 'NOT_FOUND', message: `${id} is not in the catalogue.` });

function takeOver(state: State, { unit: id, frozen, leases = [], open = [] }: Found, now: number): void {
  const unit = state.units.get(id);
  if (!unit || 'bytes' in unit.phase) return;
  unit.reason = { code: 'recovered' };
  embody(unit);
  unit.phase = { kind: 'frozen', since: now, bytes: reservationOf(unit) };
  for (const waiter of open) unit.connections.add(waiter);
  if (frozen) return;
  becomeReady(unit, state.settings.minResidencyMs, now);
  for (const waiter of leases) occupy(unit, waiter, now);
}

function cannotWait(state: State, unit: Unit, { goesOn }: Waiter, now: number): Refusal | null {
  const { id } = unit.spec;
  if (state.closing) return stopping;
  if (unit.removed) return notInCatalogue(id);
  const others = unit.copies.some((copy) => 'bytes' in copy.phase);
  if (unit.phase.kind === 'quarantined' && unit.phase.until > now && !others) {
    const { count = 1, message = '' } = unit.failure ?? {};
    const times = count === 1 ? 'once' : `${count} times`;
    return {
      code: 'START_FAILED',
      message: `${id} failed to start ${times} and is left alone for now: ${message}`,
      retryAfterMs: unit.phase.until - now,
    };
  }
  if (unit.waiters.size >= state.settings.maxWaiters && !goesOn) {
    const message = `${unit.waiters.size} requests wait for ${id} already.`;
    return { code: 'QUEUE_FULL', message, retryAfterMs: unit.startMs ?? 5_000 };
  }
  return null;
}

const isServing = (unit: Unit): boolean => unit.phase.kind === 'ready';

/** A third of the newest, as a start time varies with what the page cache happens to hold. */
const learn = (before: number | null, ms: number): number => (before === null ? ms : before + (ms - before) / 3);
