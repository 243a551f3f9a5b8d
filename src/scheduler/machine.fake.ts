import { originalOf } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import { before } from './claims.ts';
import type { ClaimKey } from './claims.ts';
import { chargedVramOf } from './devices.ts';
import {
  chargedOf,
  createUnit,
  fixedOf,
  incomingOf,
  isProtected,
  isSpeculative,
  reservationOf,
  siblingsOf,
} from './state.ts';
import type { State, Unit } from './state.ts';
import type { Effect, Event, UnitSpec, Vram } from './types.ts';

type Stage = 'starting' | 'ready' | 'freezing' | 'frozen' | 'thawing' | 'stopping';

export interface Instance {
  stage: Stage;
  /** Held: what was reserved for it; while it is frozen what it is seen to keep, as far as that was seen. */
  bytes: number;
  /** What it was seen to use last; it may be more. */
  seen: number;
  /** What was reserved for it on a graphics card. */
  readonly vram: Vram | null;
  /** With which it computes. */
  readonly threads: number;
  /** It is stopped out of its freeze: what it is seen to use is all it holds. */
  endsFrozen?: boolean;
  readySince: number;
  /** It may not be put to sleep to make room before. */
  stays: number;
  thawingSince: number;
  /** Brought up though nobody wanted it; until somebody does. */
  guessed?: boolean;
}

export interface Caller {
  readonly unit: UnitId;
  /** The one that serves it: the unit or a copy. */
  by?: UnitId;
  state: 'waiting' | 'granted' | 'refused' | 'left' | 'released' | 'lost';
  /** With which it was refused. */
  code?: string;
}

/**
 * What the machine looks like to someone who only sees events and effects: which instances there are, who waits and who
 * holds a lease. Kept apart from the scheduler's own account, and what every effect is judged by.
 */
export interface Machine {
  readonly state: State;
  now: number;
  readonly instances: Map<UnitId, Instance>;
  readonly callers: Map<WaiterId, Caller>;
  readonly waiting: Set<WaiterId>;
  readonly leases: Map<UnitId, Set<WaiterId>>;
  /** What is open, with or without a lease. */
  readonly open: Map<UnitId, Set<WaiterId>>;
}

export const fakeMachine = (state: State): Machine => ({
  state,
  now: 0,
  instances: new Map(),
  callers: new Map(),
  waiting: new Set(),
  leases: new Map(),
  open: new Map(),
});

export function check(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new Error(message());
}

const none: ReadonlySet<WaiterId> = new Set();
export const leasesOf = ({ leases }: Machine, unit: UnitId): ReadonlySet<WaiterId> => leases.get(unit) ?? none;

export const openOf = ({ open }: Machine, unit: UnitId): ReadonlySet<WaiterId> => open.get(unit) ?? none;

export function reserved({ instances }: Machine): number {
  let total = 0;
  for (const { bytes } of instances.values()) total += bytes;
  return total;
}

export function reservedOn({ instances }: Machine, device: string): number {
  let total = 0;
  for (const { vram } of instances.values()) if (vram?.device === device) total += vram.bytes;
  return total;
}

/** Threads of the instances that hold leases, and the most that one of them has. */
function busyThreads(machine: Machine): { readonly all: number; readonly most: number } {
  let [all, most] = [0, 0];
  for (const [id, { threads }] of machine.instances) {
    if (leasesOf(machine, id).size === 0) continue;
    all += threads;
    most = Math.max(most, threads);
  }
  return { all, most };
}

function isWanted(machine: Machine, id: UnitId): boolean {
  const { state, waiting, callers } = machine;
  const unit = state.units.get(id);
  if (!unit || unit.removed) return false;
  for (const waiter of waiting) if (callers.get(waiter)?.unit === id) return true;
  if (unit.original) return isCopyWanted(machine, unit, unit.original);
  return unit.pinned || unit.intent || unit.spec.tier === 'core';
}

/** One that serves the same queue is awake, and either there is work for more or so many are to run anyway. */
function isCopyWanted({ instances, state }: Machine, copy: Unit, unit: Unit): boolean {
  const all = siblingsOf(unit).flatMap(({ spec, removed }) => (removed ? [] : [spec.id]));
  const { reason } = copy;
  if (!copy.kept && !copy.intent && !(reason.code === 'wanted' && reason.because === 'copy')) return false;
  const others = all.some((id) => id !== copy.spec.id && instances.has(id));
  return others && !state.closing && all.indexOf(copy.spec.id) < unit.spec.replicas.max;
}

function end({ callers, waiting }: Machine, waiter: WaiterId, to: Caller['state']): void {
  const caller = callers.get(waiter);
  if (caller) caller.state = to;
  waiting.delete(waiter);
}

function gone(machine: Machine, unit: UnitId): void {
  machine.instances.delete(unit);
  for (const waiter of leasesOf(machine, unit)) end(machine, waiter, 'lost');
  machine.leases.delete(unit);
  machine.open.delete(unit);
}

interface Found {
  readonly unit: UnitId;
  readonly frozen: boolean;
}

/** What the event itself means for the machine, before the scheduler has heard of it. */
export function happen(machine: Machine, event: Event): void {
  const { waiting, leases } = machine;
  if (event.kind === 'request') {
    machine.callers.set(event.waiter.id, { unit: event.waiter.unit, state: 'waiting' });
    wantedNow(machine, event.waiter.unit);
    waiting.add(event.waiter.id);
  } else if (event.kind === 'leave') {
    const by = machine.callers.get(event.waiter)?.by ?? event.unit;
    const had = waiting.has(event.waiter) || leases.get(by)?.delete(event.waiter);
    if (had) end(machine, event.waiter, 'left');
  } else if (event.kind === 'release') {
    if (leases.get(event.unit)?.delete(event.waiter)) end(machine, event.waiter, 'released');
  } else if (event.kind === 'opened') {
    const { open } = machine;
    if (leases.get(event.unit)?.has(event.waiter))
      open.set(event.unit, (open.get(event.unit) ?? new Set()).add(event.waiter));
  } else if (event.kind === 'closed') {
    machine.open.get(event.unit)?.delete(event.waiter);
  } else if (event.kind === 'failed' || event.kind === 'exited') {
    gone(machine, event.unit);
  } else if (event.kind === 'recovered') {
    find(machine, event, machine.state.units.get(event.unit));
  } else if (event.kind === 'configure') {
    for (const one of event.found ?? []) {
      const spec = event.units.find(({ id }) => id === one.unit);
      find(machine, one, machine.state.units.get(one.unit) ?? (spec && createUnit(spec, 0)));
    }
  } else if (event.kind === 'measured') {
    const instance = machine.instances.get(event.unit);
    if (instance) instance.seen = event.bytes;
    if (instance?.stage === 'frozen' || instance?.endsFrozen) instance.bytes = event.bytes;
  } else {
    finish(machine, event);
  }
}

function wantedNow({ instances }: Machine, unit: UnitId): void {
  const instance = instances.get(unit);
  if (instance) instance.guessed = false;
}

/** What is brought up for a guess needs free memory, and that nobody waits for memory. */
function mayGuess({ state, waiting, callers, instances }: Machine, id: UnitId, where: () => string): void {
  check(state.settings.prediction && state.pressure === 'none', () => `guesses when it must not: ${where()}`);
  check(state.units.get(id)?.reason.code === 'expected', () => `brought up for nobody: ${where()}`);
  for (const waiter of waiting) {
    const unit = callers.get(waiter)?.unit;
    const first = unit && state.units.get(unit);
    const serves = first && siblingsOf(first).some(({ spec }) => instances.has(spec.id));
    check(!first || serves || first.phase.kind === 'backoff', () => `guesses while ${unit} waits: ${where()}`);
  }
}

/** What an earlier process left is there, whatever the limit says. */
function find({ state, instances, now }: Machine, { unit: id, frozen }: Found, unit: Unit | undefined): void {
  if (!unit || instances.has(id)) return;
  const stays = now + state.settings.minResidencyMs;
  const bytes = unit.spec.vram ? Math.max(unit.spec.vram.bytes, unit.card.learned ?? 0) : 0;
  instances.set(id, {
    vram: unit.spec.vram && unit.spec.vram.bytes > 0 ? { device: unit.spec.vram.device, bytes } : null,
    threads: unit.spec.threads ?? 0,
    stage: frozen ? 'frozen' : 'ready',
    bytes: reservationOf(unit),
    seen: 0,
    readySince: now,
    stays,
    thawingSince: 0,
  });
}

/** Ten times what a thaw is known to take. The state has not learned from this one yet. */
function thawResidency({ state, instances, now }: Machine, id: UnitId): number {
  const took = now - (instances.get(id)?.thawingSince ?? now);
  const known = state.units.get(id)?.thawMs ?? took;
  return 10 * (known + (took - known) / 3);
}

/** What it is known to keep while it is frozen, by an earlier freeze. */
const keeps = ({ state }: Machine, id: UnitId, { bytes }: Instance): number =>
  Math.min(bytes, state.units.get(id)?.frozenBytes ?? Infinity);

/** The end of what was under way; late and repeated ends find nothing to end. */
function finish(machine: Machine, event: Event): void {
  const move = (unit: UnitId, from: Stage, to: Stage) => {
    const instance = machine.instances.get(unit);
    if (instance?.stage !== from) return;
    instance.stage = to;
    if (to === 'frozen') instance.bytes = keeps(machine, unit, instance);
    if (to !== 'ready') return;
    const { minResidencyMs } = machine.state.settings;
    instance.readySince = machine.now;
    if (instance.guessed) {
      instance.stays = machine.now;
      return;
    }
    instance.stays =
      machine.now + (from === 'thawing' ? Math.min(minResidencyMs, thawResidency(machine, unit)) : minResidencyMs);
  };
  if (event.kind === 'started') move(event.unit, 'starting', 'ready');
  else if (event.kind === 'frozen') move(event.unit, 'freezing', 'frozen');
  else if (event.kind === 'thawed') move(event.unit, 'thawing', 'ready');
  else if (event.kind === 'stopped' && machine.instances.get(event.unit)?.stage === 'stopping') {
    gone(machine, event.unit);
  }
}

/** Whether the machine may do that now; then it is under way. */
export function obey(machine: Machine, effect: Effect, event: Event): void {
  const where = () => {
    const stage = machine.instances.get(effect.unit)?.stage ?? 'none';
    return `${JSON.stringify(effect)} at ${machine.now}, while ${stage}, on ${JSON.stringify(event)}`;
  };
  if (effect.kind === 'start') start(machine, effect, where);
  else if (effect.kind === 'stop') stop(machine, effect, event, where);
  else if (effect.kind === 'freeze' || effect.kind === 'thaw') climb(machine, effect, where);
  else answer(machine, effect, where);
}

type Of<K extends Effect['kind']> = Extract<Effect, { kind: K }>;

function start(machine: Machine, { unit, bytes, vram }: Of<'start'>, where: () => string): void {
  const { state, instances, now } = machine;
  check(!instances.has(unit), () => `a start beside an instance: ${where()}`);
  const guessed = !isWanted(machine, unit);
  if (guessed) mayGuess(machine, unit, where);
  check(bytes === 0 || reserved(machine) + bytes <= state.limitBytes, () => `over the limit: ${where()}`);
  check(bytes >= (state.units.get(unit)?.spec.declaredBytes ?? 0), () => `reserves too little: ${where()}`);
  const spec = state.units.get(unit)?.spec;
  const asked = spec?.vram && spec.vram.bytes > 0 ? spec.vram : undefined;
  check(vram?.device === asked?.device, () => `another card: ${where()}`);
  if (vram) onCard(machine, vram, asked, where);
  instances.set(unit, {
    vram: vram ?? null,
    threads: spec?.threads ?? 0,
    stage: 'starting',
    bytes,
    seen: 0,
    readySince: now,
    stays: Infinity,
    thawingSince: 0,
    guessed,
  });
}

function onCard(machine: Machine, { device, bytes }: Vram, asked: UnitSpec['vram'], where: () => string): void {
  const limit = machine.state.devices.get(device)?.limitBytes ?? 0;
  check(reservedOn(machine, device) + bytes <= limit, () => `over the card's limit: ${where()}`);
  check(bytes >= (asked?.bytes ?? 0), () => `reserves too little on the card: ${where()}`);
}

function stop(machine: Machine, { unit, reason }: Of<'stop'>, event: Event, where: () => string): void {
  const instance = machine.instances.get(unit);
  check(instance !== undefined && instance.stage !== 'stopping', () => `stops what is not there: ${where()}`);
  const asked = event.kind === 'stop' && (event.unit === unit || event.unit === originalOf(unit));
  check((asked && event.force) || leasesOf(machine, unit).size === 0, () => `stops a leased unit: ${where()}`);
  if (['evicted', 'relief', 'pressure', 'idle'].includes(reason.code)) {
    mayTake(machine, unit, instance, where);
    check(openOf(machine, unit).size === 0, () => `cuts what is open: ${where()}`);
  }
  const given = reason.code === 'abandoned' ? 'starting' : instance.stage;
  check(given === instance.stage, () => `abandons what has started: ${where()}`);
  instance.endsFrozen = instance.stage === 'frozen';
  instance.stage = 'stopping';
}

/** Pinned, core and just started units are not taken for others. */
function mayTake({ state, now }: Machine, id: UnitId, instance: Instance, where: () => string): void {
  const unit = state.units.get(id);
  check(unit !== undefined, () => `takes an unknown unit: ${where()}`);
  const yields = unit.removed || (!unit.pinned && unit.spec.tier !== 'core');
  check(yields, () => `takes a protected unit: ${where()}`);
  const rested = now >= Math.min(instance.stays, instance.readySince + unit.spec.idleAfterMs);
  const speculative = instance.stage === 'starting' && instance.guessed === true;
  check(instance.stage === 'frozen' || rested || speculative, () => `takes a unit within its residency: ${where()}`);
}

function climb(machine: Machine, { kind, unit }: Of<'freeze' | 'thaw'>, where: () => string): void {
  const instance = machine.instances.get(unit);
  const wanted = isWanted(machine, unit);
  if (kind === 'freeze') {
    check(instance?.stage === 'ready', () => `freezes what is not ready: ${where()}`);
    const reason = machine.state.units.get(unit)?.reason.code;
    // Who aged takes the memory of those whose turn is after it, though somebody waits for them.
    const over = reason === 'evicted' && leasesOf(machine, unit).size === 0;
    // A copy that is to run makes room like any idle unit.
    const unwanted = !wanted || machine.state.units.get(unit)?.original !== null;
    check(over || (leasesOf(machine, unit).size === 0 && unwanted), () => `freezes what is in use: ${where()}`);
    if (reason !== 'idle') mayTake(machine, unit, instance, where);
    instance.stage = 'freezing';
  } else {
    check(instance?.stage === 'frozen', () => `thaws what is not frozen: ${where()}`);
    if (!wanted) mayGuess(machine, unit, where);
    instance.guessed = !wanted;
    thawed(machine, unit, instance, where);
    instance.stage = 'thawing';
    instance.thawingSince = machine.now;
  }
}

/** It takes back what it gave. */
function thawed(machine: Machine, id: UnitId, instance: Instance, where: () => string): void {
  const unit = machine.state.units.get(id);
  const held = Math.max(instance.bytes, instance.seen);
  const more = Math.max(0, (unit ? reservationOf(unit) : 0) - held);
  check(more === 0 || reserved(machine) + more <= machine.state.limitBytes, () => `over the limit: ${where()}`);
  instance.bytes += more;
}

function answer(machine: Machine, effect: Of<'grant' | 'refuse'>, where: () => string): void {
  const { state, instances, waiting, leases, callers } = machine;
  check(waiting.has(effect.waiter), () => `answers one who does not wait: ${where()}`);
  if (effect.kind === 'refuse') {
    const caller = callers.get(effect.waiter);
    if (caller) caller.code = effect.refusal.code;
    return end(machine, effect.waiter, 'refused');
  }
  const held = leases.get(effect.unit) ?? new Set();
  check(instances.get(effect.unit)?.stage === 'ready', () => `grants what is not ready: ${where()}`);
  check(held.size < (state.units.get(effect.unit)?.spec.slots ?? 0), () => `more leases than slots: ${where()}`);
  const before = busyThreads(machine);
  leases.set(effect.unit, held.add(effect.waiter));
  const { all, most } = busyThreads(machine);
  const more = all > before.all && all > state.cores.total && all > most;
  check(!more, () => `${all} threads on ${state.cores.total} cores: ${where()}`);
  const caller = callers.get(effect.waiter);
  check(caller?.unit === originalOf(effect.unit), () => `serves another unit: ${where()}`);
  if (caller) caller.by = effect.unit;
  end(machine, effect.waiter, 'granted');
}

const isStopping = ({ phase }: Unit): boolean => phase.kind === 'stopping';

/** Whether the sums and lists that are kept up say what a count from nothing says. */
function recount({ totals, idle, claims, units, awake, devices, cores }: State): void {
  const total = (bytes: (unit: Unit) => number) => [...units.values()].reduce((sum, unit) => sum + bytes(unit), 0);
  check(totals.charged === total(chargedOf), () => `${totals.charged} charged, ${total(chargedOf)} counted`);
  check(totals.incoming === total(incomingOf), () => `${totals.incoming} incoming, ${total(incomingOf)} counted`);
  check(totals.fixed === total(fixedOf), () => `${totals.fixed} fixed, ${total(fixedOf)} counted`);
  for (const [id, device] of devices) {
    const on = [...units.values()].filter(({ card }) => card.held?.device === id);
    const there = (some: (unit: Unit) => boolean) =>
      on.filter(some).reduce((sum, unit) => sum + chargedVramOf(unit), 0);
    check(device.charged === there(() => true), () => `${device.charged} charged on ${id}`);
    check(device.incoming === there(isStopping), () => `${device.incoming} incoming on ${id}`);
    const fixed = there((unit) => isProtected(unit) && !isStopping(unit));
    check(device.fixed === fixed, () => `${device.fixed} fixed on ${id}, ${fixed} counted`);
  }
  const busy = total(({ leases, threads }) => (leases.size > 0 ? threads : 0));
  check(cores.busy === busy, () => `${cores.busy} threads busy, ${busy} counted`);
  for (const unit of units.values()) {
    const { kind } = unit.phase;
    const free = unit.leases.size === 0 && !isProtected(unit);
    const spare = kind === 'ready' || isSpeculative(unit);
    check(idle.ready.has(unit) === (free && spare), () => `${unit.spec.id}: wrong among the idle`);
    check(idle.frozen.has(unit) === (free && kind === 'frozen'), () => `${unit.spec.id}: wrong among the frozen`);
    check(awake.has(unit) === 'bytes' in unit.phase, () => `${unit.spec.id}: wrong among the awake`);
    check(claims.includes(unit) === (unit.booked.claim !== null), () => `${unit.spec.id}: wrong among the claims`);
  }
  const places = claims.map(({ booked }) => booked.claim);
  check(
    places.every((place, i) => i === 0 || (place && places[i - 1] && before(places[i - 1] as ClaimKey, place) < 0)),
    () => 'claims out of order',
  );
}

/** Whether the scheduler's account says what the machine is. */
export function agree(machine: Machine): void {
  recount(machine.state);
  const { state, instances, waiting } = machine;
  let queued = 0;
  for (const unit of state.units.values()) {
    agreeOn(machine, unit);
    if (unit.original === null) queued += unit.waiters.size;
  }
  check(queued === waiting.size, () => `${waiting.size} wait, ${queued} are queued`);
  for (const id of instances.keys()) check(state.units.has(id), () => `${id} is forgotten and runs`);
}

function agreeOn(machine: Machine, unit: Unit): void {
  const { id } = unit.spec;
  const stage = machine.instances.get(id)?.stage;
  const believed = 'bytes' in unit.phase ? unit.phase.kind : undefined;
  check(believed === stage, () => `${id} is ${stage} and believed ${unit.phase.kind}`);
  const held = leasesOf(machine, id);
  check(held.size === unit.leases.size, () => `${id}: ${held.size} leases, believed ${unit.leases.size}`);
  for (const waiter of unit.leases.keys()) check(held.has(waiter), () => `${id}: ${waiter} holds no lease`);
  const open = [...openOf(machine, id)].join();
  check(open === [...unit.connections].join(), () => `${id}: ${open} open, believed ${[...unit.connections].join()}`);
  for (const waiter of unit.waiters.keys()) check(machine.waiting.has(waiter), () => `${waiter} does not wait`);
  if (unit.phase.kind === 'ready') {
    const idle = unit.phase.idleSince !== null;
    check(idle === (held.size === 0), () => `${id} has ${held.size} leases and is ${idle ? 'idle' : 'busy'}`);
  }
  const alone = unit.original === null && !unit.copies.some((copy) => machine.instances.has(copy.spec.id));
  const leaves = unit.original === null && unit.removed;
  const hopeless = machine.state.closing || leaves || (alone && unit.phase.kind === 'quarantined');
  check(!hopeless || unit.waiters.size === 0, () => `${id} keeps waiters for nothing`);
}
