import { unitId } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import { agree } from './agreement.fake.ts';
import { check, fakeMachine, happen, leasesOf, openOf, reserved, reservedOn } from './machine.fake.ts';
import type { Caller, Instance } from './machine.fake.ts';
import { obey } from './obedience.fake.ts';
import { nextDue } from './account.ts';
import { createState } from './state.ts';
import type { State } from './state.ts';
import { step } from './step.ts';
import { defaultSettings, oneReplica, plainRungs } from './types.ts';
import type { Effect, Event, Settings, UnitSpec, WaiterClass } from './types.ts';

/** A scheduler with a machine to command and the time in the test's hands. Every effect and every account is checked. */
export interface World {
  readonly state: State;
  readonly now: number;
  readonly instances: ReadonlyMap<UnitId, Instance>;
  readonly callers: ReadonlyMap<WaiterId, Caller>;
  /** Every event with its time and its effects, for a replay. */
  readonly history: readonly { readonly event: Event; readonly now: number; readonly effects: string }[];
  apply(event: Event): readonly Effect[];
  /** Time passes and nobody looks at the clock. */
  elapse(ms: number): void;
  /** Time passes, with a tick whenever `nextDue` asks for one, and a look in between that must find nothing to do. */
  advance(ms: number): readonly Effect[];
  request(unit: UnitId, options?: { class?: WaiterClass; deadline?: number; principal?: string }): WaiterId;
  waiting(): WaiterId[];
  leasesOf(unit: UnitId): WaiterId[];
  openOf(unit: UnitId): WaiterId[];
}

/** Times that are easy to count with, whatever the defaults become. */
export const roundSettings: Settings = { ...defaultSettings, minResidencyMs: 5_000, ageingMs: 30_000 };

export function fakeWorld(units: readonly UnitSpec[], limitBytes: number, settings: Partial<Settings> = {}): World {
  const state = createState({ ...roundSettings, ...settings }, limitBytes);
  const machine = fakeMachine(state);
  const history: { event: Event; now: number; effects: string }[] = [];
  let serial = 0;
  let late = false;

  const take = (event: Event): readonly Effect[] => {
    const before = reserved(machine);
    const onCards = [...state.devices.keys()].map((id) => [id, reservedOn(machine, id)] as const);
    happen(machine, event);
    const effects = step(state, event, machine.now);
    for (const effect of effects) obey(machine, effect, event);
    agree(machine);
    const after = reserved(machine);
    const found = event.kind === 'recovered' || event.kind === 'measured';
    check(found || after <= Math.max(state.limitBytes, before), () => `${after} bytes reserved`);
    for (const [id, held] of onCards) {
      const [now, limit] = [reservedOn(machine, id), state.devices.get(id)?.limitBytes ?? 0];
      const taken = event.kind === 'recovered' || event.kind === 'configure';
      check(taken || now <= Math.max(limit, held), () => `${now} bytes reserved on ${id}`);
    }
    history.push({ event, now: machine.now, effects: JSON.stringify(effects) });
    return effects;
  };
  /** A tick that must find nothing to do. */
  const look = (why: string) => {
    const phases = () => [...state.units.values()].map(({ phase }) => phase.kind).join();
    const before = phases();
    const effects = take({ kind: 'tick' });
    check(effects.length === 0 && before === phases(), () => `${why}: ${JSON.stringify(effects)} at ${machine.now}`);
  };
  const apply = (event: Event): readonly Effect[] => {
    const effects = take(event);
    // The fast path leaves to the tick what had fallen due meanwhile.
    if (event.kind !== 'request' && event.kind !== 'release') late = false;
    if (!late) look('once was not enough');
    return effects;
  };
  const advance = (ms: number): readonly Effect[] => {
    const until = machine.now + ms;
    const effects: Effect[] = [...apply({ kind: 'tick' })];
    for (let at = nextDue(state); at <= until; at = nextDue(state)) {
      machine.now += (at - machine.now) / 2;
      if (machine.now < at) look('nextDue is too late');
      machine.now = at;
      effects.push(...apply({ kind: 'tick' }));
    }
    machine.now = until;
    look('nextDue is too late');
    return effects;
  };

  apply({ kind: 'configure', units });
  return {
    state,
    get now() {
      return machine.now;
    },
    instances: machine.instances,
    callers: machine.callers,
    history,
    apply,
    advance,
    elapse(ms) {
      machine.now += ms;
      late = true;
    },
    request(unit, { class: rank = 'default', deadline = Infinity, principal = 'ada' } = {}) {
      const id = `w${++serial}` as WaiterId;
      apply({ kind: 'request', waiter: { id, unit, class: rank, principal, deadline } });
      return id;
    },
    waiting: () => [...machine.waiting],
    leasesOf: (unit) => [...leasesOf(machine, unit)],
    openOf: (unit) => [...openOf(machine, unit)],
  };
}

/** A unit of ten bytes that serves two at once and rests after a minute, but for what a test says. */
export const fakeUnit = (name: string, given: Partial<Omit<UnitSpec, 'id'>> = {}): UnitSpec => ({
  id: unitId('model', name),
  tier: 'on-demand',
  priority: 50,
  declaredBytes: 10,
  learnedBytes: null,
  slots: 2,
  idleAfterMs: 60_000,
  idleRung: 'cold',
  startMs: null,
  rungs: plainRungs,
  learnedAs: '',
  prewarm: true,
  replicas: oneReplica,
  ...given,
});
