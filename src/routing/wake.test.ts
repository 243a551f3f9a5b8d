import { describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { createScheduler } from '#scheduler/run-loop';
import type { Scheduler } from '#scheduler/run-loop';
import { defaultSettings, oneReplica, plainRungs } from '#scheduler/types';
import { createWaker } from './wake.ts';
import type { Target, WakerOptions } from './wake.ts';

const unit = unitId('service', 'x');
const target: Target = { origin: 'http://127.0.0.1:1', basePath: '', key: null };
const settle = () => new Promise((resolve) => setImmediate(resolve));

function bench(more: Partial<WakerOptions> = {}) {
  const clock = fakeClock();
  const told: string[] = [];
  const tell = (what: string) => () => void told.push(what);
  const scheduler: Scheduler = createScheduler({
    settings: defaultSettings,
    limitBytes: 100,
    clock,
    effects: { start: tell('start'), stop: tell('stop'), freeze: tell('freeze'), thaw: tell('thaw') },
  });
  const spec = { tier: 'on-demand', priority: 50, declaredBytes: 10, learnedBytes: null, slots: 1 } as const;
  const rest = {
    idleAfterMs: 60_000,
    idleRung: 'cold',
    startMs: null,
    rungs: plainRungs,
    learnedAs: '',
    prewarm: true,
    replicas: oneReplica,
  } as const;
  scheduler.dispatch({ kind: 'configure', units: [{ id: unit, ...spec, ...rest }] });
  const prepared = { done: true, count: 0, work: () => Promise.resolve() };
  const waker = createWaker({
    ...{ scheduler, clock, log: silentLogger, target: () => target },
    preparation: {
      isPrepared: () => prepared.done,
      prepare: () => (prepared.count++, prepared.work()),
    },
    isExternal: () => false,
    silenceMs: () => null,
    progress: () => ({ phase: 'x' }),
    ...more,
  });
  const leases = () => scheduler.state.units.get(unit)?.leases.size;
  const caller = (signal = new AbortController().signal) =>
    ({ principal: 'someone', class: 'interactive', signal }) as const;
  return {
    waker,
    scheduler,
    clock,
    told,
    prepared,
    leases,
    caller,
    started: () => scheduler.dispatch({ kind: 'started', unit }),
  };
}

describe('a wake', () => {
  it('prepares, starts, and says how long it took; the next one finds it ready', async () => {
    const { waker, clock, prepared, caller, started, leases, told } = bench();
    prepared.done = false;
    const waking = waker.wake(unit, caller());
    await settle();
    clock.advance(500);
    started();
    const awake = await waking;
    expect(awake).toMatchObject({ target, queueMs: 0, wakeMs: 500 });
    awake.release();
    awake.release();
    expect(leases()).toBe(0);
    const again = await waker.wake(unit, caller());
    expect(again).toMatchObject({ queueMs: 0, wakeMs: 0 });
    expect([prepared.count, told]).toEqual([1, ['start']]);
  });

  it('whose preparation fails starts nothing', async () => {
    const { waker, prepared, caller, told } = bench();
    prepared.done = false;
    prepared.work = () => Promise.reject(new Fault('DISK_FULL', 'full'));
    await expect(waker.wake(unit, caller())).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(told).toEqual([]);
  });

  it('whose caller leaves while it is prepared starts nothing', async () => {
    const { waker, prepared, caller, told } = bench();
    prepared.done = false;
    const preparing = Promise.withResolvers<void>();
    prepared.work = () => preparing.promise;
    const leaving = new AbortController();
    const waking = waker.wake(unit, caller(leaving.signal));
    leaving.abort();
    preparing.resolve();
    await expect(waking).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(told).toEqual([]);
  });

  it('that finds no instance behind its lease gives the lease back', async () => {
    const { waker, caller, started, leases } = bench({ target: () => null });
    const waking = waker.wake(unit, caller());
    await settle();
    started();
    await expect(waking).rejects.toMatchObject({ code: 'UPSTREAM_FAILED', retryAfter: 1 });
    expect(leases()).toBe(0);
  });

  it('of what runs elsewhere takes no lease', async () => {
    const { waker, caller, told } = bench({ isExternal: () => true });
    expect(waker.isReady(unit)).toBe(true);
    (await waker.wake(unit, caller())).release();
    expect(told).toEqual([]);
  });
});

describe('a caller who will come back', () => {
  it('has the wake go on for a while, and longer when it asks again', async () => {
    const { waker, clock, scheduler, told } = bench();
    waker.linger(unit, 'browser', 10_000);
    await settle();
    clock.advance(9_000);
    waker.linger(unit, 'browser', 10_000);
    clock.advance(9_000);
    await settle();
    expect(scheduler.state.units.get(unit)?.waiters.size).toBe(1);
    clock.advance(1_000);
    await settle();
    expect(scheduler.state.units.get(unit)?.waiters.size).toBe(0);
    expect(told[0]).toBe('start');
  });

  it('holds no lease once it is ready, and its timer goes', async () => {
    const { waker, started, leases } = bench();
    waker.linger(unit, 'browser', 10_000);
    await settle();
    started();
    await settle();
    expect(leases()).toBe(0);
    waker.linger(unit, 'browser', 10_000);
    await settle();
    expect(leases()).toBe(0);
  });
});
