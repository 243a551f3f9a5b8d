import type { WaiterId } from '#kernel/ids';
import type { Effect, Event } from '#scheduler/types';
import { createHeap, first, pop, push } from '#scheduler/heap';
import type { Heap } from '#scheduler/heap';
import { BrokenPromise, createMachine, hold, judge, moveTo } from './judge.ts';
import type { Caller, Instance, Machine } from './judge.ts';
import type { Policy } from './policy.ts';
import type { Arrival } from './trace.ts';
import { idOf, specOf } from './units.ts';
import type { UnitsFile } from './units.ts';

/** What came of one trace under one policy. */
export interface Outcome {
  readonly policy: string;
  readonly limitBytes: number;
  /** Of each arrival, in their order: milliseconds until its grant, NaN when it was refused. */
  readonly waits: Float64Array;
  readonly coldStarts: number;
  readonly thaws: number;
  /** Units put to sleep to make room. */
  readonly evictions: number;
  readonly maxReservedBytes: number;
  /** Reserved bytes times seconds, until the last request was answered and served. */
  readonly byteSeconds: number;
  /** When that was, in virtual time. */
  readonly endMs: number;
  readonly wallMs: number;
  /** Events that the policy was asked about. */
  readonly events: number;
}

type EndKind = 'started' | 'stopped' | 'frozen' | 'thawed';

/** What will end: an operation on an instance, or the service of a caller. */
type End = { readonly at: number; readonly seq: number } & (
  | { readonly kind: EndKind; readonly instance: Instance; readonly operation: number }
  | { readonly kind: 'release'; readonly caller: Caller }
);

interface Run {
  readonly policy: Policy;
  readonly machine: Machine;
  readonly agenda: Heap<End>;
  readonly waits: Float64Array;
  seq: number;
  events: number;
  coldStarts: number;
  thaws: number;
  evictions: number;
}

/** Ticks that lead to nothing, at one time or with nothing else to come, after which a policy is taken to ring for ever. */
const patience = 1_000;

/**
 * Plays the trace in virtual time and judges every effect. What ends at a time is over before what arrives at that time, and
 * a tick comes after both. Throws BrokenPromise when more is reserved than the limit, when something busy is put to sleep,
 * when there are more leases than slots, when a unit is started twice, and when a request is never answered.
 */
export function simulate({ units, limitBytes }: UnitsFile, arrivals: readonly Arrival[], policy: Policy): Outcome {
  const run: Run = {
    policy,
    machine: createMachine(units, limitBytes),
    agenda: createHeap(),
    waits: new Float64Array(arrivals.length).fill(NaN),
    ...{ seq: 0, events: 0, coldStarts: 0, thaws: 0, evictions: 0 },
  };
  const began = performance.now();
  tell(run, { kind: 'configure', units: units.map(specOf) });
  play(run, arrivals);
  const { machine } = run;
  return {
    policy: policy.name,
    limitBytes,
    waits: run.waits,
    coldStarts: run.coldStarts,
    thaws: run.thaws,
    evictions: run.evictions,
    maxReservedBytes: machine.maxReserved,
    byteSeconds: machine.byteMs / 1_000,
    endMs: machine.now,
    wallMs: performance.now() - began,
    events: run.events,
  };
}

function play(run: Run, arrivals: readonly Arrival[]): void {
  const { machine, agenda, policy } = run;
  let next = 0;
  let ticks = 0;
  for (;;) {
    const arrival = arrivals[next];
    if (!arrival && machine.waiting.size === 0 && machine.leases === 0) return;
    const end = first(agenda);
    const endsAt = end?.at ?? Infinity;
    const arrivesAt = arrival?.t ?? Infinity;
    const wakesAt = Math.max(machine.now, policy.nextWake(machine.now));
    if (end && endsAt <= arrivesAt && endsAt <= wakesAt) {
      pop(agenda);
      moveTo(machine, endsAt);
      finish(run, end);
      ticks = 0;
    } else if (arrival && arrivesAt <= wakesAt) {
      moveTo(machine, arrivesAt);
      arrive(run, arrival, next++);
      ticks = 0;
    } else {
      // Ticks that lead to nothing are an endless wait like no tick at all, unless they lead on to what else is to come.
      if (wakesAt > machine.now && (end || arrival)) ticks = 0;
      if (wakesAt === Infinity || ++ticks > patience) throw unanswered(machine);
      moveTo(machine, wakesAt);
      if (tell(run, { kind: 'tick' })) ticks = 0;
    }
  }
}

function unanswered({ waiting, now }: Machine): Error {
  for (const { unit, id } of waiting.values()) return new BrokenPromise(`${id} is never answered`, unit, now);
  return new Error(`The policy asks for one tick after the other at ${now} ms, and does nothing.`);
}

function arrive(run: Run, arrival: Arrival, index: number): void {
  const { machine } = run;
  const unit = idOf(arrival.unit);
  if (!machine.instances.has(unit))
    throw new Error(`The trace asks for ${arrival.unit}, which is not among the units.`);
  const id = `w${index}` as WaiterId;
  const { principal, class: rank, serviceMs } = arrival;
  const deadline = machine.now + arrival.deadlineMs;
  machine.waiting.set(id, { index, id, unit, by: null, since: machine.now, serviceMs });
  tell(run, { kind: 'request', waiter: { id, unit, class: rank, principal, deadline } });
}

function finish(run: Run, end: End): void {
  if (end.kind === 'release') {
    const { by, id } = end.caller;
    if (!by) return;
    by.leases--;
    run.machine.leases--;
    tell(run, { kind: 'release', waiter: id, unit: by.id });
    return;
  }
  const { instance, kind } = end;
  if (instance.operation !== end.operation) return;
  instance.stage = kind === 'stopped' ? 'cold' : kind === 'frozen' ? 'frozen' : 'ready';
  if (kind === 'stopped') hold(run.machine, instance, 0);
  if (kind === 'frozen') hold(run.machine, instance, instance.unit.frozenBytes);
  tell(run, { kind, unit: instance.id });
  // Measured at once; unless it was thawed or stopped again in the same breath.
  if (kind === 'frozen' && instance.operation === end.operation) {
    tell(run, { kind: 'measured', unit: instance.id, bytes: instance.bytes });
  }
}

/** Has the policy decide and carries out what it says; whether that was anything. */
function tell(run: Run, event: Event): boolean {
  run.events++;
  const effects = run.policy.step(event, run.machine.now);
  for (const effect of effects) carryOut(run, effect, judge(run.machine, effect));
  return effects.length > 0;
}

function carryOut(run: Run, effect: Effect, instance: Instance): void {
  const { machine } = run;
  const { unit } = instance;
  switch (effect.kind) {
    case 'start':
      run.coldStarts++;
      hold(machine, instance, unit.bytes);
      return begin(run, instance, 'starting', 'started', unit.startMs);
    case 'stop':
      if (effect.reason.code === 'evicted') run.evictions++;
      return begin(run, instance, 'stopping', 'stopped', unit.stopMs);
    case 'freeze':
      // No unit goes to sleep by itself here: it is frozen to make room.
      run.evictions++;
      return begin(run, instance, 'freezing', 'frozen', unit.freezeMs);
    case 'thaw':
      run.thaws++;
      hold(machine, instance, unit.bytes);
      return begin(run, instance, 'thawing', 'thawed', unit.thawMs);
    case 'grant':
      return grant(run, effect.waiter, instance);
    case 'refuse':
      machine.waiting.delete(effect.waiter);
  }
}

function begin(run: Run, instance: Instance, stage: Instance['stage'], kind: EndKind, ms: number): void {
  instance.stage = stage;
  const operation = ++instance.operation;
  push(run.agenda, { at: run.machine.now + ms, seq: ++run.seq, kind, instance, operation });
}

function grant(run: Run, waiter: WaiterId, instance: Instance): void {
  const { machine } = run;
  const caller = machine.waiting.get(waiter);
  if (!caller) return;
  machine.waiting.delete(waiter);
  caller.by = instance;
  instance.leases++;
  machine.leases++;
  run.waits[caller.index] = machine.now - caller.since;
  push(run.agenda, { at: machine.now + caller.serviceMs, seq: ++run.seq, kind: 'release', caller });
}
