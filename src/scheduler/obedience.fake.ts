import { originalOf } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { busyThreads, check, end, isWanted, leasesOf, openOf, reserved, reservedOn } from './machine.fake.ts';
import type { Instance, Machine } from './machine.fake.ts';
import { reservationOf, siblingsOf } from './state.ts';
import type { Effect, Event, UnitSpec, Vram } from './types.ts';

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
  instance.bytes = held + more;
  instance.seen = 0;
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
