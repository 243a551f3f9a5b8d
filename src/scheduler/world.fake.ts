import type { UnitId, WaiterId } from '#kernel/ids';
import { nextWake } from './settle.ts';
import { createState } from './state.ts';
import type { State, Unit } from './state.ts';
import { step } from './step.ts';
import { defaultSettings } from './types.ts';
import type { Effect, Event, Settings, UnitSpec, WaiterClass } from './types.ts';

type Stage = 'starting' | 'ready' | 'freezing' | 'frozen' | 'thawing' | 'stopping';

interface Instance {
  stage: Stage;
  readonly bytes: number;
  readySince: number;
}

export interface Held {
  readonly unit: UnitId;
  state: 'waiting' | 'granted' | 'refused' | 'left' | 'released' | 'lost';
  code?: string;
}

/**
 * What the machine would look like to someone who only sees events and effects: which instances there are, who waits and
 * who holds a lease. It is kept apart from the scheduler's own account, and every effect is judged by it.
 */
export interface World {
  readonly state: State;
  readonly now: number;
  readonly instances: ReadonlyMap<UnitId, Instance>;
  readonly callers: ReadonlyMap<WaiterId, Held>;
  /** Every event with its time and its effects, for a replay. */
  readonly history: readonly { readonly event: Event; readonly now: number; readonly effects: string }[];
  apply(event: Event): readonly Effect[];
  /** Time passes and nobody looks at the clock. */
  elapse(ms: number): void;
  /** Time passes, with a tick whenever `nextWake` asks for one, and a look in between that must find nothing to do. */
  advance(ms: number): readonly Effect[];
  request(unit: UnitId, options?: { class?: WaiterClass; deadline?: number; id?: string }): WaiterId;
  waiting(): WaiterId[];
  leasesOf(unit: UnitId): WaiterId[];
}

export function check(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new Error(message());
}

const phaseOf = (unit: Unit): Stage | 'none' =>
  unit.phase.kind === 'cold' || unit.phase.kind === 'backoff' || unit.phase.kind === 'quarantined'
    ? 'none'
    : unit.phase.kind;

export function fakeWorld(
  units: readonly UnitSpec[],
  limitBytes: number,
  settings: Partial<Settings> = {},
  options: { record: boolean } = { record: true },
): World {
  const state = createState({ ...defaultSettings, ...settings }, limitBytes);
  const instances = new Map<UnitId, Instance>();
  const callers = new Map<WaiterId, Held>();
  const waiting = new Set<WaiterId>();
  const leases = new Map<UnitId, Set<WaiterId>>();
  const history: { event: Event; now: number; effects: string }[] = [];
  let now = 0;
  let serial = 0;
  let late = false;

  const leasesOf = (unit: UnitId): Set<WaiterId> => {
    const held = leases.get(unit) ?? new Set<WaiterId>();
    leases.set(unit, held);
    return held;
  };
  const reserved = () => {
    let total = 0;
    for (const { bytes } of instances.values()) total += bytes;
    return total;
  };
  const isWanted = (id: UnitId) => {
    const unit = state.units.get(id);
    if (!unit || unit.removed) return false;
    for (const waiter of waiting) if (callers.get(waiter)?.unit === id) return true;
    return unit.pinned || unit.intent || unit.spec.tier === 'core';
  };
  const end = (waiter: WaiterId, to: Held['state']) => {
    const caller = callers.get(waiter);
    if (caller) caller.state = to;
    waiting.delete(waiter);
  };
  const gone = (unit: UnitId) => {
    instances.delete(unit);
    for (const waiter of leasesOf(unit)) end(waiter, 'lost');
    leases.delete(unit);
  };

  /** What the event itself means for the machine, before the scheduler has heard of it. */
  const happen = (event: Event) => {
    const instance = 'unit' in event && typeof event.unit === 'string' ? instances.get(event.unit) : undefined;
    const move = (from: Stage, to: Stage) => {
      if (instance?.stage !== from) return;
      instance.stage = to;
      if (to === 'ready') instance.readySince = now;
    };
    switch (event.kind) {
      case 'request':
        callers.set(event.waiter.id, { unit: event.waiter.unit, state: 'waiting' });
        return void waiting.add(event.waiter.id);
      case 'leave':
        if (waiting.has(event.waiter) || leasesOf(event.unit).delete(event.waiter)) end(event.waiter, 'left');
        return;
      case 'release':
        if (leasesOf(event.unit).delete(event.waiter)) end(event.waiter, 'released');
        return;
      case 'started':
        return move('starting', 'ready');
      case 'frozen':
        return move('freezing', 'frozen');
      case 'thawed':
        return move('thawing', 'ready');
      case 'stopped':
        return instance?.stage === 'stopping' ? gone(event.unit) : undefined;
      case 'failed':
      case 'exited':
        return gone(event.unit);
      case 'recovered': {
        const unit = state.units.get(event.unit);
        if (!unit || instance) return;
        const bytes = Math.max(unit.spec.declaredBytes, unit.learnedBytes ?? 0);
        return void instances.set(event.unit, { stage: event.frozen ? 'frozen' : 'ready', bytes, readySince: now });
      }
      default:
        return;
    }
  };

  /** Whether the machine may do that now; then it is under way. */
  const obey = (effect: Effect, event: Event) => {
    const unit = state.units.get(effect.unit);
    const instance = instances.get(effect.unit);
    const where = () => `${JSON.stringify(effect)} at ${now}, ${instance?.stage ?? 'none'}`;
    switch (effect.kind) {
      case 'start':
        check(!instance, () => `a start beside an instance: ${where()}`);
        check(isWanted(effect.unit), () => `a start for nobody: ${where()}`);
        check(effect.bytes === 0 || reserved() + effect.bytes <= state.limitBytes, () => `over the limit: ${where()}`);
        check(effect.bytes >= (unit?.spec.declaredBytes ?? 0), () => `reserves too little: ${where()}`);
        return void instances.set(effect.unit, { stage: 'starting', bytes: effect.bytes, readySince: now });
      case 'stop': {
        check(instance !== undefined && instance.stage !== 'stopping', () => `stops what is not there: ${where()}`);
        const forced = event.kind === 'stop' && event.force && event.unit === effect.unit;
        check(forced || leasesOf(effect.unit).size === 0, () => `stops a leased unit: ${where()}`);
        if (['evicted', 'relief', 'idle'].includes(effect.reason.code)) mayTake(effect.unit, instance, where);
        instance.stage = 'stopping';
        for (const waiter of leasesOf(effect.unit)) check(forced && waiting.size >= 0, () => `${waiter} is cut off`);
        return;
      }
      case 'freeze':
        check(instance?.stage === 'ready', () => `freezes what is not ready: ${where()}`);
        check(leasesOf(effect.unit).size === 0 && !isWanted(effect.unit), () => `freezes what is in use: ${where()}`);
        instance.stage = 'freezing';
        return;
      case 'thaw':
        check(instance?.stage === 'frozen', () => `thaws what is not frozen: ${where()}`);
        check(isWanted(effect.unit), () => `thaws for nobody: ${where()}`);
        instance.stage = 'thawing';
        return;
      case 'grant':
        check(waiting.has(effect.waiter), () => `grants one who does not wait: ${where()}`);
        check(instance?.stage === 'ready', () => `grants what is not ready: ${where()}`);
        check(leasesOf(effect.unit).size < (unit?.spec.slots ?? 0), () => `more leases than slots: ${where()}`);
        leasesOf(effect.unit).add(effect.waiter);
        return end(effect.waiter, 'granted');
      case 'refuse': {
        check(waiting.has(effect.waiter), () => `refuses one who does not wait: ${where()}`);
        const caller = callers.get(effect.waiter);
        if (caller) caller.code = effect.refusal.code;
        return end(effect.waiter, 'refused');
      }
    }
  };
  /** Pinned, core and just started units are not taken for others. */
  const mayTake = (id: UnitId, instance: Instance, where: () => string) => {
    const unit = state.units.get(id);
    const free = unit?.removed === true || (unit?.pinned === false && unit.spec.tier !== 'core');
    check(unit !== undefined && free, () => `takes a protected unit: ${where()}`);
    const resident = instance.stage === 'frozen' || now >= instance.readySince + state.settings.minResidencyMs;
    const idle = instance.stage === 'ready' && now >= instance.readySince + unit.spec.idleAfterMs;
    check(resident || idle, () => `takes a unit within its residency: ${where()}`);
  };

  const agree = () => {
    let queued = 0;
    for (const [id, unit] of state.units) {
      const stage = instances.get(id)?.stage ?? 'none';
      check(phaseOf(unit) === stage, () => `${id} is ${stage} and believed ${unit.phase.kind}`);
      const held = leasesOf(id);
      check(held.size === unit.leases.size, () => `${id}: ${held.size} leases, believed ${unit.leases.size}`);
      for (const waiter of unit.leases) check(held.has(waiter), () => `${id}: ${waiter} holds no lease`);
      for (const waiter of unit.waiters.keys()) check(waiting.has(waiter), () => `${waiter} does not wait`);
      queued += unit.waiters.size;
      if (unit.phase.kind === 'ready') {
        const idle = unit.phase.idleSince !== null;
        check(idle === (held.size === 0), () => `${id} has ${held.size} leases and is ${idle ? 'idle' : 'busy'}`);
      }
      const hopeless = state.closing || unit.removed || unit.phase.kind === 'quarantined';
      check(!hopeless || unit.waiters.size === 0, () => `${id} keeps waiters for nothing`);
    }
    check(queued === waiting.size, () => `${waiting.size} wait, ${queued} are queued`);
    for (const id of instances.keys()) check(state.units.has(id), () => `${id} is forgotten and runs`);
  };

  const apply = (event: Event): readonly Effect[] => {
    const before = reserved();
    happen(event);
    const effects = step(state, event, now);
    for (const effect of effects) obey(effect, event);
    agree();
    const after = reserved();
    check(after <= Math.max(state.limitBytes, before) || event.kind === 'recovered', () => `${after} bytes reserved`);
    if (options.record) history.push({ event, now, effects: JSON.stringify(effects) });
    return effects;
  };
  /** A tick that must find nothing to do. */
  const look = (why: string) => {
    const phases = () => [...state.units.values()].map(({ phase }) => phase.kind).join();
    const before = phases();
    const effects = apply({ kind: 'tick' });
    check(effects.length === 0 && before === phases(), () => `${why}: ${JSON.stringify(effects)} at ${now}`);
  };

  const world: World = {
    state,
    get now() {
      return now;
    },
    instances,
    callers,
    history,
    apply(event) {
      const effects = apply(event);
      // The fast path leaves to the tick what had fallen due meanwhile.
      if (event.kind !== 'request') late = false;
      if (!late) look('once was not enough');
      return effects;
    },
    elapse(ms) {
      now += ms;
      late = true;
    },
    advance(ms) {
      const until = now + ms;
      const effects: Effect[] = [...world.apply({ kind: 'tick' })];
      for (let at = nextWake(state, now); at <= until; at = nextWake(state, now)) {
        now += (at - now) / 2;
        if (now < at) look('nextWake is too late');
        now = at;
        effects.push(...world.apply({ kind: 'tick' }));
      }
      now = until;
      look('nextWake is too late');
      return effects;
    },
    request(unit, { class: rank = 'default', deadline = Infinity, id = `w${++serial}` } = {}) {
      const waiter = id as WaiterId;
      world.apply({ kind: 'request', waiter: { id: waiter, unit, class: rank, principal: 'ada', deadline } });
      return waiter;
    },
    waiting: () => [...waiting],
    leasesOf: (unit) => [...leasesOf(unit)],
  };
  world.apply({ kind: 'configure', units });
  return world;
}
