import { describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { Fault } from '#kernel/faults';
import { replicaId, unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { createScheduler } from '#scheduler/run-loop';
import type { Scheduler } from '#scheduler/run-loop';
import { defaultSettings, oneReplica, plainRungs } from '#scheduler/types';
import { anyPlace } from './picker.ts';
import { fakePickers } from './picker.fake.ts';
import { createWaker } from './wake.ts';
import type { Target, WakerOptions } from './wake.ts';

const unit = unitId('service', 'x');
const target: Target = { origin: 'http://127.0.0.1:1', basePath: '', key: null };
const settle = () => new Promise((resolve) => setImmediate(resolve));

function bench(more: Partial<WakerOptions> = {}, replicas = oneReplica, slots = 1) {
  const clock = fakeClock();
  const told: string[] = [];
  const tell = (what: string) => () => void told.push(what);
  const scheduler: Scheduler = createScheduler({
    settings: defaultSettings,
    limitBytes: 100,
    clock,
    effects: { start: tell('start'), stop: tell('stop'), freeze: tell('freeze'), thaw: tell('thaw') },
  });
  const spec = { tier: 'on-demand', priority: 50, declaredBytes: 10, learnedBytes: null, slots } as const;
  const rest = {
    idleAfterMs: 60_000,
    idleRung: 'cold',
    startMs: null,
    rungs: plainRungs,
    learnedAs: '',
    prewarm: true,
    replicas,
  } as const;
  scheduler.dispatch({ kind: 'configure', units: [{ id: unit, ...spec, ...rest }] });
  const prepared = { done: true, count: 0, work: () => Promise.resolve() };
  const waker = createWaker({
    ...{ scheduler, clock, log: silentLogger, target: () => target, reaches: async () => true },
    pickers: fakePickers(clock),
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
    /** Time passes, with turns of the event loop in between. */
    async pass(ms: number) {
      for (let left = ms; left > 0; left -= 100) {
        clock.advance(100);
        await settle();
      }
    },
  };
}

it('goes to the copy that granted the lease, and gives it back there', async () => {
  const asked: string[] = [];
  const { waker, scheduler, caller, started } = bench(
    { target: (one) => (asked.push(one), { ...target, origin: `http://${one}` }) },
    { min: 2, max: 2 },
  );
  const copy = replicaId(unit, 2);
  const first = waker.wake(unit, caller());
  await settle();
  started();
  const second = waker.wake(unit, caller());
  scheduler.dispatch({ kind: 'started', unit: copy });
  const both = await Promise.all([first, second]);
  expect(both.map(({ target: { origin } }) => origin)).toEqual(['http://service/x', 'http://service/x~2']);
  const leasesOf = (one: UnitId) => scheduler.state.units.get(one)?.leases.size;
  expect([leasesOf(unit), leasesOf(copy)]).toEqual([1, 1]);
  both[1]?.release();
  expect([leasesOf(unit), leasesOf(copy)]).toEqual([1, 0]);
  // While a copy serves, the unit is ready though its first instance is not.
  scheduler.dispatch({ kind: 'exited', unit, message: 'gone' });
  expect(waker.isReady(unit)).toBe(true);
  const third = await waker.wake(unit, caller());
  expect([third.target.origin, third.wakeMs]).toEqual(['http://service/x~2', 0]);
});

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
    const { waker, caller, started, leases, pass } = bench({ target: () => null });
    const waking = waker.wake(unit, caller());
    const failed = expect(waking).rejects.toMatchObject({ code: 'UPSTREAM_FAILED', retryAfter: 1 });
    await settle();
    started();
    await pass(16_000);
    await failed;
    expect(leases()).toBe(0);
  });

  it('regression: that was granted a place on what had just ended waits for the next start, and fails nobody else', async () => {
    let there: Target | null = null;
    const { waker, scheduler, caller, started, told, pass } = bench({ target: () => there });
    const both = [waker.wake(unit, caller()), waker.wake(unit, caller())];
    await settle();
    started();
    await pass(500);
    // The first holds its place: the second is not given it, only to fail there.
    expect(scheduler.state.units.get(unit)).toMatchObject({ waiters: { size: 1 }, leases: { size: 1 } });
    scheduler.dispatch({ kind: 'exited', unit, message: 'gone' });
    await pass(2_000);
    expect(told).toEqual(['start', 'start']);
    there = target;
    started();
    await settle();
    (await both[1])?.release();
    await settle();
    expect(await both[0]).toMatchObject({ target });
  });

  it('regression: whose service broke off keeps its place until that listens again, or its end is told', async () => {
    let listens = false;
    const { waker, scheduler, caller, started, leases, pass } = bench({ reaches: async () => listens });
    const wake = async () => {
      const waking = waker.wake(unit, caller());
      await settle();
      return waking;
    };
    const first = wake();
    await settle();
    started();
    (await first).release(true);
    await pass(300);
    expect(leases()).toBe(1);
    listens = true;
    await pass(200);
    expect(leases()).toBe(0);
    listens = false;
    (await wake()).release(true);
    await pass(4_000);
    expect(leases()).toBe(1);
    scheduler.dispatch({ kind: 'exited', unit, message: 'gone' });
    expect(leases()).toBe(0);
    await pass(5_000);
    // A service that neither listens nor ends is given up on: the place is no use, but it is not kept for ever.
    scheduler.dispatch({ kind: 'wake', unit });
    started();
    (await wake()).release(true);
    await pass(6_000);
    expect(leases()).toBe(0);
  });

  it('whose caller leaves while that is looked into ends at once', async () => {
    const { waker, caller, started } = bench({ target: () => null });
    const leaving = new AbortController();
    const waking = waker.wake(unit, caller(leaving.signal));
    const left = expect(waking).rejects.toMatchObject({ code: 'CANCELLED' });
    await settle();
    started();
    await settle();
    leaving.abort();
    await left;
  });

  it('for another try waits until what failed the first one is seen to listen, or known to have ended', async () => {
    const { waker, scheduler, caller, started, pass } = bench({ reaches: async () => false }, oneReplica, 2);
    const first = waker.wake(unit, { ...caller(), choice: anyPlace });
    await settle();
    started();
    (await first).release(true);
    let granted = false;
    const again = Promise.resolve(
      waker.wake(unit, { ...caller(), choice: { key: null, avoid: new Set<string>([unit]) } }),
    );
    again.then(() => (granted = true)).catch(() => undefined);
    await pass(300);
    expect(granted).toBe(false);
    scheduler.dispatch({ kind: 'exited', unit, message: 'gone' });
    await pass(2_000);
    started();
    await again;
  });

  it('of what runs elsewhere takes no lease', async () => {
    const { waker, caller, told } = bench({
      isExternal: () => true,
      pickers: fakePickers(fakeClock(), { places: [{ url: 'x', weight: 1, target }] }),
    });
    expect(waker.isReady(unit)).toBe(true);
    (await waker.wake(unit, caller())).release();
    expect(told).toEqual([]);
  });

  it('of what runs elsewhere keeps no place there where no request goes to it', async () => {
    const pickers = fakePickers(fakeClock(), { places: [{ url: 'x', weight: 1, target }] });
    const { waker, caller } = bench({ isExternal: () => true, pickers });
    const held = await waker.wake(unit, caller());
    const { inFlight, failures } = waker.picker(unit).view().upstreams[0] ?? {};
    expect([held.target, inFlight, failures]).toEqual([target, 0, 0]);
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
