/**
 * What the scheduler costs, in nanoseconds an operation: `node --conditions=source bench/decisions.ts [--json]`.
 * Medians of several rounds, since the machine does other things as well.
 */
import { parseArgs } from 'node:util';
import { systemClock } from '#kernel/clock';
import { unitId } from '#kernel/ids';
import type { WaiterId } from '#kernel/ids';
import { createScheduler } from '#scheduler/run-loop';
import { createState } from '#scheduler/state';
import type { State } from '#scheduler/state';
import { step } from '#scheduler/step';
import { defaultSettings, oneReplica, plainRungs } from '#scheduler/types';
import type { UnitSpec } from '#scheduler/types';

const specOf = (i: number): UnitSpec => ({
  id: unitId('model', `m${i}`),
  tier: 'on-demand',
  priority: i % 100,
  declaredBytes: 100,
  learnedBytes: null,
  slots: 4,
  idleAfterMs: 600_000,
  idleRung: 'cold',
  startMs: 1_000,
  rungs: plainRungs,
  learnedAs: '',
  prewarm: true,
  replicas: oneReplica,
});
const idOf = (n: number): WaiterId => `w${n}` as WaiterId;
const settings = { ...defaultSettings, maxWaiters: 1_000 };

/** `count` units, of which `ready` fit and run, and `waiters` who wait for the others. */
function account(count: number, ready: number, waiters: number): State {
  const state = createState(settings, ready * 100);
  step(state, { kind: 'configure', units: Array.from({ length: count }, (_, i) => specOf(i)) }, 0);
  for (let i = 0; i < ready; i++) {
    const unit = unitId('model', `m${i}`);
    step(state, { kind: 'wake', unit }, 0);
    step(state, { kind: 'started', unit }, 0);
    step(state, { kind: 'request', waiter: waiterOf(idOf(-1 - i), i, 0) }, 0);
  }
  for (let n = 0; n < waiters; n++) {
    step(state, { kind: 'request', waiter: waiterOf(idOf(n), ready + (n % (count - ready)), n) }, 10_000);
  }
  return state;
}

const classes = ['interactive', 'default', 'batch'] as const;
const waiterOf = (id: WaiterId, unit: number, n: number) => ({
  id,
  unit: unitId('model', `m${unit}`),
  class: classes[n % 3] ?? 'default',
  principal: 'ada',
  deadline: Infinity,
});

function measure(run: (n: number) => void, count: number): number {
  const rounds: number[] = [];
  let n = 0;
  for (let round = 0; round < 9; round++) {
    const from = process.hrtime.bigint();
    for (let i = 0; i < count; i++) run(n++);
    rounds.push(Number(process.hrtime.bigint() - from) / count);
  }
  return Math.round(rounds.sort((a, b) => a - b)[4] ?? 0);
}

/** A request and its release on a unit that is ready, through `step` alone. */
function fastPath(units: number): number {
  const state = account(units, units, 0);
  const waiters = Array.from({ length: units }, (_, i) => waiterOf(idOf(i), i, i));
  return measure((n) => {
    const waiter = waiters[n % units];
    if (!waiter) return;
    step(state, { kind: 'request', waiter }, 10_000);
    step(state, { kind: 'release', waiter: waiter.id, unit: waiter.unit }, 10_000);
  }, 20_000);
}

/** The decision alone: the request, without the release that settles the account. */
function decision(units: number): number {
  const state = account(units, units, 0);
  const waiter = waiterOf(idOf(0), 0, 0);
  const unit = state.units.get(waiter.unit);
  return measure(() => {
    step(state, { kind: 'request', waiter }, 10_000);
    unit?.leases.delete(waiter.id);
  }, 100_000);
}

/** The whole account with waiters for memory that busy units hold, before they aged and after. */
function settle(units: number, waiters: number, now: number): number {
  const state = account(units, Math.ceil(units / 5), waiters);
  return measure(() => step(state, { kind: 'tick' }, now), 500);
}

/** `acquire` and `release` through the run-loop, its timer and its promise included. */
async function throughRunLoop(units: number): Promise<number> {
  const ignore = () => undefined;
  const effects = { start: ignore, stop: ignore, freeze: ignore, thaw: ignore };
  const scheduler = createScheduler({ settings, limitBytes: units * 100, clock: systemClock, effects });
  scheduler.dispatch({ kind: 'configure', units: Array.from({ length: units }, (_, i) => specOf(i)) });
  for (const unit of scheduler.state.units.keys()) {
    scheduler.dispatch({ kind: 'wake', unit });
    scheduler.dispatch({ kind: 'started', unit });
  }
  const { signal } = new AbortController();
  const rounds: number[] = [];
  for (let round = 0; round < 9; round++) {
    const from = process.hrtime.bigint();
    for (let i = 0; i < 10_000; i++) {
      const unit = unitId('model', `m${i % units}`);
      (await scheduler.acquire({ unit, class: 'default', principal: 'ada', signal })).release();
    }
    rounds.push(Number(process.hrtime.bigint() - from) / 10_000);
  }
  scheduler.close();
  return Math.round(rounds.sort((a, b) => a - b)[4] ?? 0);
}

const figures = {
  'decide a request on a ready unit, of 50': decision(50),
  'decide a request on a ready unit, of 1000': decision(1_000),
  'request and release on a ready unit, of 50': fastPath(50),
  'request and release on a ready unit, of 1000': fastPath(1_000),
  'acquire and release through the run-loop, of 50': await throughRunLoop(50),
  'settle 50 units with 500 waiters': settle(50, 500, 10_000),
  'settle 50 units with 500 waiters that aged': settle(50, 500, 100_000),
  'settle 1000 units with 500 waiters': settle(1_000, 500, 10_000),
};

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
if (values.json) console.log(JSON.stringify({ unit: 'ns', figures }));
else for (const [what, ns] of Object.entries(figures)) console.log(`${String(ns).padStart(9)} ns  ${what}`);
