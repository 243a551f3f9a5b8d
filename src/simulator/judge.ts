import { originalOf, replicaId, replicaOf } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import type { Effect } from '#scheduler/types';
import { idOf } from './units.ts';
import type { SimUnit } from './units.ts';

export type Stage = 'cold' | 'starting' | 'ready' | 'freezing' | 'frozen' | 'thawing' | 'stopping';

/** One unit, or one copy of it, as the machine has it. */
export interface Instance {
  readonly unit: SimUnit;
  readonly id: UnitId;
  stage: Stage;
  /** Reserved now. */
  bytes: number;
  leases: number;
  /** Of the operation that began last: the end of an earlier one means nothing any more. */
  operation: number;
}

export interface Caller {
  readonly index: number;
  readonly id: WaiterId;
  /** Asked for; and granted by, which may be a copy of that. */
  readonly unit: UnitId;
  by: Instance | null;
  readonly since: number;
  readonly serviceMs: number;
}

/** What the machine looks like, and what was counted. Every effect is judged by it before it is carried out. */
export interface Machine {
  readonly limitBytes: number;
  /** Of the units, and of those copies that were asked of. */
  readonly instances: Map<UnitId, Instance>;
  readonly waiting: Map<WaiterId, Caller>;
  now: number;
  reserved: number;
  maxReserved: number;
  /** Bytes times milliseconds. */
  byteMs: number;
  leases: number;
}

export const createMachine = (units: readonly SimUnit[], limitBytes: number): Machine => ({
  limitBytes,
  instances: new Map(units.map((unit) => [idOf(unit.id), coldInstance(unit, idOf(unit.id))])),
  waiting: new Map(),
  now: 0,
  reserved: 0,
  maxReserved: 0,
  byteMs: 0,
  leases: 0,
});

const coldInstance = (unit: SimUnit, id: UnitId): Instance => ({
  ...{ unit, id, stage: 'cold', bytes: 0, leases: 0, operation: 0 },
});

/** One of the units, or a copy that may be there of one: it is made when it is first named. */
function instanceOf({ instances }: Machine, id: UnitId): Instance | undefined {
  const known = instances.get(id);
  if (known) return known;
  const [first, n] = [originalOf(id), replicaOf(id)];
  const unit = instances.get(first)?.unit;
  const isCopy = n >= 2 && originalOf(first) === first && replicaId(first, n) === id;
  if (!unit || !isCopy || n > unit.maxReplicas) return undefined;
  const copy = coldInstance(unit, id);
  instances.set(id, copy);
  return copy;
}

/** A policy did what none may do. */
export class BrokenPromise extends Error {
  constructor(what: string, unit: string, now: number) {
    super(`${what}: ${unit} at ${now} ms.`);
    this.name = 'BrokenPromise';
  }
}

export function moveTo(machine: Machine, now: number): void {
  machine.byteMs += machine.reserved * (now - machine.now);
  machine.now = now;
}

export function hold(machine: Machine, instance: Instance, bytes: number): void {
  machine.reserved += bytes - instance.bytes;
  instance.bytes = bytes;
  if (machine.reserved > machine.maxReserved) machine.maxReserved = machine.reserved;
  if (machine.reserved > machine.limitBytes) {
    const sums = `${machine.reserved} bytes reserved of ${machine.limitBytes}`;
    throw new BrokenPromise(`more than the limit, ${sums}`, instance.id, machine.now);
  }
}

const demand = (holds: boolean, what: string, { id }: Instance, { now }: Machine): void => {
  if (!holds) throw new BrokenPromise(what, id, now);
};

/** The instance that the effect is about, once the effect was found to be allowed. */
export function judge(machine: Machine, effect: Effect): Instance {
  const instance = instanceOf(machine, effect.unit);
  if (!instance) throw new BrokenPromise(`${effect.kind} of an unknown unit`, effect.unit, machine.now);
  rules[effect.kind](instance, machine, effect);
  return instance;
}

const rules: Readonly<Record<Effect['kind'], (instance: Instance, machine: Machine, effect: Effect) => void>> = {
  start(instance, machine) {
    demand(instance.stage === 'cold', `started while it is ${instance.stage}`, instance, machine);
  },
  stop(instance, machine) {
    const { stage } = instance;
    demand(stage !== 'cold' && stage !== 'stopping', `stopped while it is ${stage}`, instance, machine);
    demand(instance.leases === 0, 'stopped while it is busy', instance, machine);
  },
  freeze(instance, machine) {
    demand(instance.stage === 'ready', `frozen while it is ${instance.stage}`, instance, machine);
    demand(instance.leases === 0, 'frozen while it is busy', instance, machine);
  },
  thaw(instance, machine) {
    demand(instance.stage === 'frozen', `thawed while it is ${instance.stage}`, instance, machine);
  },
  grant(instance, machine, effect) {
    demand(instance.stage === 'ready', `granted while it is ${instance.stage}`, instance, machine);
    demand(instance.leases < instance.unit.concurrency, 'more leases than slots', instance, machine);
    demand(
      waitsFor(originalOf(instance.id), machine, effect),
      'granted to one who does not wait for it',
      instance,
      machine,
    );
  },
  refuse(instance, machine, effect) {
    demand(waitsFor(instance.id, machine, effect), 'refused to one who does not wait for it', instance, machine);
  },
};

const waitsFor = (unit: UnitId, { waiting }: Machine, effect: Effect): boolean =>
  'waiter' in effect && waiting.get(effect.waiter)?.unit === unit;
