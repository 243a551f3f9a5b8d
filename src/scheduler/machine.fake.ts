import { originalOf } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import { createUnit, reservationOf, siblingsOf } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Event, Found, Vram } from './types.ts';

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
  for (const { bytes, seen } of instances.values()) total += Math.max(bytes, seen);
  return total;
}

export function reservedOn({ instances }: Machine, device: string): number {
  let total = 0;
  for (const { vram } of instances.values()) if (vram?.device === device) total += vram.bytes;
  return total;
}

/** Threads of the instances that hold leases, and the most that one of them has. */
export function busyThreads(machine: Machine): { readonly all: number; readonly most: number } {
  let [all, most] = [0, 0];
  for (const [id, { threads }] of machine.instances) {
    if (leasesOf(machine, id).size === 0) continue;
    all += threads;
    most = Math.max(most, threads);
  }
  return { all, most };
}

export function isWanted(machine: Machine, id: UnitId): boolean {
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

export function end({ callers, waiting }: Machine, waiter: WaiterId, to: Caller['state']): void {
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

/** What an earlier process left is there, whatever the limit says. */
function find(machine: Machine, { unit: id, frozen, leases = [], open = [] }: Found, unit: Unit | undefined): void {
  const { state, instances, now } = machine;
  if (!unit || instances.has(id)) return;
  machine.open.set(id, new Set(open));
  if (!frozen) machine.leases.set(id, new Set(leases));
  for (const waiter of leases) machine.callers.set(waiter, { unit: originalOf(id), by: id, state: 'granted' });
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
const keeps = ({ state }: Machine, id: UnitId, { bytes, seen }: Instance): number =>
  Math.min(Math.max(bytes, seen), state.units.get(id)?.frozenBytes ?? Infinity);

/** The end of what was under way; late and repeated ends find nothing to end. */
function finish(machine: Machine, event: Event): void {
  const move = (unit: UnitId, from: Stage, to: Stage) => {
    const instance = machine.instances.get(unit);
    if (instance?.stage !== from) return;
    instance.stage = to;
    if (to === 'frozen') {
      instance.bytes = keeps(machine, unit, instance);
      // It was seen on its old rung.
      instance.seen = 0;
    }
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
