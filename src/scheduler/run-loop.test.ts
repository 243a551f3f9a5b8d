import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { createScheduler } from './run-loop.ts';
import type { Acquire, Effects, Lease, SchedulerOptions } from './run-loop.ts';
import { positionOf } from './order.ts';
import { unitOf } from './state.ts';
import { fakeUnit, roundSettings } from './world.fake.ts';

const [a, b] = [unitId('model', 'a'), unitId('model', 'b')];
const ignore = () => undefined;
const idleWorld: Effects = { start: ignore, stop: ignore, freeze: ignore, thaw: ignore };

function setUp(given: Partial<SchedulerOptions> = {}) {
  const clock = fakeClock();
  const effects = { ...idleWorld };
  const scheduler = createScheduler({ settings: roundSettings, limitBytes: 10, clock, effects, ...given });
  const acquire = async (unit: UnitId, options: Partial<Acquire> = {}) =>
    scheduler.acquire({ unit, class: 'default', principal: 'ada', signal: new AbortController().signal, ...options });
  const ready = (...units: UnitId[]) => units.forEach((unit) => scheduler.dispatch({ kind: 'started', unit }));
  scheduler.dispatch({ kind: 'configure', units: [fakeUnit('a'), fakeUnit('b')] });
  return { clock, effects, scheduler, acquire, ready, unit: (id: UnitId) => unitOf(scheduler.state, id) };
}
const code = (value: string) => expect.objectContaining({ code: value });

describe('acquire', () => {
  it('starts the unit, tells the place in the queue, and grants a lease once it is ready', async () => {
    const { acquire, ready, unit, effects } = setUp();
    const start = vi.spyOn(effects, 'start');
    const places: (number | null)[] = [];
    const onQueued: Acquire['onQueued'] = (id) => places.push(positionOf(unit(a), id));
    const waits = acquire(a, { onQueued });
    expect(start).toHaveBeenCalledWith(a, 10);
    expect(places).toEqual([1]);
    ready(a);
    expect((await waits).unit).toBe(a);
  });

  it('grants on a ready unit without telling a place', async () => {
    const { acquire, ready } = setUp();
    const first = acquire(a);
    ready(a);
    await first;
    const onQueued = vi.fn();
    await acquire(a, { onQueued });
    expect(onQueued).not.toHaveBeenCalled();
  });

  it('gives the slot back once, however often it is released', async () => {
    const { acquire, ready, unit } = setUp();
    const first = acquire(a);
    ready(a);
    const lease = await first;
    await acquire(a);
    lease.release();
    lease.release();
    expect(unit(a).leases.size).toBe(1);
  });

  it('rejects with the fault that says why not, in whole seconds to come back', async () => {
    const { acquire, scheduler } = setUp();
    await expect(acquire(unitId('model', 'x'))).rejects.toEqual(code('NOT_FOUND'));
    const waits = acquire(a);
    scheduler.dispatch({ kind: 'failed', unit: a, message: 'no such file', permanent: true });
    await expect(waits).rejects.toEqual(expect.objectContaining({ code: 'START_FAILED', retryAfter: 300 }));
  });

  it('rejects at its timeout, by the clock alone', async () => {
    const { acquire, clock } = setUp();
    const waits = acquire(a, { timeoutMs: 2_000 });
    clock.advance(2_000);
    await expect(waits).rejects.toEqual(code('TIMEOUT'));
  });

  it('does not ask at all when the caller has left before', async () => {
    const { acquire, effects } = setUp();
    const start = vi.spyOn(effects, 'start');
    await expect(acquire(a, { signal: AbortSignal.abort() })).rejects.toEqual(code('CANCELLED'));
    expect(start).not.toHaveBeenCalled();
  });

  it('rejects at once when the caller leaves, and stops the start that nobody wants', async () => {
    const { acquire, effects } = setUp();
    const stop = vi.spyOn(effects, 'stop');
    const caller = new AbortController();
    const waits = acquire(a, { signal: caller.signal });
    caller.abort();
    await expect(waits).rejects.toEqual(code('CANCELLED'));
    expect(stop).toHaveBeenCalledWith(a, { code: 'abandoned' });
  });

  it('goes on for a caller who leaves and will come back', () => {
    const { acquire, unit } = setUp();
    const caller = new AbortController();
    acquire(a, { signal: caller.signal, keepOnLeave: () => true }).catch(ignore);
    caller.abort();
    expect(unit(a).phase.kind).toBe('starting');
  });

  it('leaves a granted lease alone when the signal aborts later', async () => {
    const { acquire, ready, unit } = setUp();
    const caller = new AbortController();
    const waits = acquire(a, { signal: caller.signal });
    ready(a);
    caller.abort();
    const lease = await waits;
    expect(unit(a).leases.size).toBe(1);
    lease.release();
    expect(unit(a).leases.size).toBe(0);
  });

  it('regression: an abort from within the grant of another leaves no lease without a holder', async () => {
    const caller = new AbortController();
    const { acquire, ready, unit } = setUp({
      onEffect: (effect) => (effect.kind === 'grant' ? caller.abort() : undefined),
    });
    const first = acquire(a);
    const second = acquire(a, { signal: caller.signal });
    ready(a);
    await expect(second).rejects.toEqual(code('CANCELLED'));
    (await first).release();
    expect(unit(a).leases.size).toBe(0);
  });

  it('regression: a request from within an effect is answered although its unit is unknown', async () => {
    const asked: Promise<Lease>[] = [];
    const { acquire, effects, unit } = setUp();
    effects.start = () => void asked.push(acquire(unitId('model', 'x')));
    const waits = acquire(a);
    await expect(asked[0]).rejects.toEqual(code('NOT_FOUND'));
    expect(unit(a).waiters.size).toBe(1);
    waits.catch(ignore);
  });
});

describe('dispatch', () => {
  it('takes an event from within an effect after the ones before it', async () => {
    const { acquire, effects, scheduler } = setUp();
    effects.start = (unit) => scheduler.dispatch({ kind: 'started', unit });
    expect((await acquire(a)).unit).toBe(a);
  });

  it('carries out all of one event before it takes the next', () => {
    const told: string[] = [];
    const { effects, scheduler } = setUp({
      onEvent: ({ kind }) => told.push(`event ${kind}`),
      onEffect: ({ kind }) => told.push(kind),
    });
    effects.start = (unit) => scheduler.dispatch({ kind: 'started', unit });
    told.length = 0;
    const core = { tier: 'core', declaredBytes: 0 } as const;
    scheduler.dispatch({ kind: 'configure', units: [fakeUnit('c', core), fakeUnit('d', core)] });
    expect(told).toEqual(['event configure', 'start', 'start', 'event started', 'event started']);
  });

  it('ticks when something falls due, and sets no timer otherwise', async () => {
    const { acquire, ready, clock, effects, unit } = setUp();
    expect(clock.pending).toBe(0);
    const stop = vi.spyOn(effects, 'stop');
    const waits = acquire(a);
    ready(a);
    (await waits).release();
    clock.advance(59_999);
    expect(stop).not.toHaveBeenCalled();
    clock.advance(1);
    expect(stop).toHaveBeenCalledWith(a, { code: 'idle', ms: 60_000 });
    expect([unit(a).phase.kind, clock.pending]).toEqual(['stopping', 0]);
  });

  it('throws what the event itself is refused with, and stays usable', async () => {
    const { scheduler, acquire, ready } = setUp();
    expect(() => scheduler.dispatch({ kind: 'wake', unit: unitId('model', 'x') })).toThrow(code('NOT_FOUND'));
    const waits = acquire(a);
    ready(a);
    await waits;
  });

  it('regression: what an effect throws costs no one else the answer, and a start that threw has failed', async () => {
    const faults: unknown[] = [];
    const { acquire, scheduler, effects, unit } = setUp({ limitBytes: 20, onFault: (error) => faults.push(error) });
    effects.start = (id) => {
      if (id === a) throw new Error('no driver');
      scheduler.dispatch({ kind: 'started', unit: id });
    };
    acquire(a).catch(ignore);
    expect((await acquire(b)).unit).toBe(b);
    expect(faults).toEqual([new Error('no driver')]);
    expect(unit(a).phase.kind).toBe('backoff');
  });

  it('regression: what an event from within throws is not the fault of whose event was taken', () => {
    const faults: unknown[] = [];
    const { scheduler, effects } = setUp({ onFault: (error) => faults.push(error) });
    effects.start = () => scheduler.dispatch({ kind: 'wake', unit: unitId('model', 'x') });
    scheduler.dispatch({ kind: 'wake', unit: a });
    expect(faults).toEqual([code('NOT_FOUND')]);
  });

  it('close refuses who waits, and leaves no timer', async () => {
    const { scheduler, acquire, clock } = setUp();
    const waits = acquire(a, { timeoutMs: 5_000 });
    scheduler.close();
    scheduler.close();
    await expect(waits).rejects.toEqual(code('SHUTTING_DOWN'));
    await expect(acquire(b)).rejects.toEqual(code('SHUTTING_DOWN'));
    expect(clock.pending).toBe(0);
  });
});

describe('races', () => {
  type Move = 'ask' | 'leave' | 'release' | 'twice' | 'end' | 'exit' | 'wait' | 'stop';
  const moves = fc.array(
    fc.tuple(
      fc.constantFrom<Move>('ask', 'ask', 'ask', 'leave', 'release', 'twice', 'end', 'end', 'exit', 'wait', 'stop'),
      fc.nat(20),
      fc.boolean(),
    ),
    { maxLength: 60, size: 'max' },
  );

  it('every caller is answered exactly once and no lease is lost, in whatever order things cross', async () => {
    const granted = { count: 0 };
    await fc.assert(
      fc.asyncProperty(moves, fc.boolean(), async (drawn, abrupt) => {
        const open: Lease[] = [];
        const callers: { abort: AbortController; answers: string[] }[] = [];
        const underWay: (() => void)[] = [];
        // Some ends come from within the effect that begins them, as when an instance turns out to be there already.
        const later = (run: () => void) => (abrupt && underWay.length % 2 ? run() : void underWay.push(run));
        const { clock, scheduler, acquire, effects } = setUp({
          settings: { ...roundSettings, backoffFirstMs: 50, maxFailures: 100 },
          onEffect(effect) {
            if (abrupt && effect.kind === 'grant') callers[callers.length - 1]?.abort.abort();
          },
        });
        effects.start = (unit) => later(() => scheduler.dispatch({ kind: 'started', unit }));
        effects.stop = (unit) => later(() => scheduler.dispatch({ kind: 'stopped', unit }));
        for (const [move, n, flag] of drawn) {
          const unit = n % 2 ? a : b;
          if (move === 'ask') {
            const caller = { abort: new AbortController(), answers: [] as string[] };
            callers.push(caller);
            const options = {
              signal: caller.abort.signal,
              keepOnLeave: () => flag,
              ...(flag ? { timeoutMs: n * 200 } : {}),
            };
            acquire(unit, options).then(
              (lease) => (open.push(lease), caller.answers.push('granted')),
              (error: { code: string }) => caller.answers.push(error.code),
            );
          } else if (move === 'leave') callers[n % Math.max(1, callers.length)]?.abort.abort();
          else if (move === 'release') open.splice(n % Math.max(1, open.length), 1)[0]?.release();
          else if (move === 'twice') [1, 2].forEach(() => open[0]?.release());
          else if (move === 'end') underWay.splice(n % Math.max(1, underWay.length), 1)[0]?.();
          else if (move === 'exit') scheduler.dispatch({ kind: 'exited', unit, message: 'gone' });
          else if (move === 'stop') {
            scheduler.dispatch({ kind: 'stop', unit, reason: { code: 'stopped-by-user' }, force: flag });
          } else clock.advance(n * 100);
          if (flag) await Promise.resolve();
        }
        for (let round = 0; round < 20; round++) {
          await Promise.resolve();
          await Promise.resolve();
          open.splice(0).forEach((lease) => lease.release());
          underWay.splice(0).forEach((end) => end());
          clock.advance(5_000);
        }
        for (const { answers } of callers) expect(answers).toHaveLength(1);
        for (const { leases, waiters } of scheduler.state.units.values()) expect(leases.size + waiters.size).toBe(0);
        granted.count += callers.filter(({ answers }) => answers[0] === 'granted').length;
      }),
      { numRuns: 500 },
    );
    expect(granted.count).toBeGreaterThan(1_000);
  }, 30_000);
});

it('regression: a time that falls due between the decision and the alarm is not missed', async () => {
  // Real timers ring a little early, and real time goes on between two looks at the clock.
  const clock = fakeClock();
  let drift = 0;
  const drifting = { ...clock, now: () => clock.now() + drift };
  const settings = { ...roundSettings, backoffFirstMs: 20 };
  const { acquire, scheduler, ready, unit } = setUp({ clock: drifting, settings });
  const waits = acquire(a);
  scheduler.dispatch({ kind: 'failed', unit: a, message: 'no', permanent: false });
  expect(unit(a).phase.kind).toBe('backoff');
  drift = -0.05;
  const dispatched = vi.spyOn(drifting, 'now');
  // The tick decides 0.05 ms before the backoff ends; the alarm is set 0.05 ms after.
  dispatched.mockImplementationOnce(() => clock.now() + drift).mockImplementation(() => clock.now() + 0.05);
  clock.advance(20);
  clock.advance(1);
  expect(unit(a).phase.kind).toBe('starting');
  ready(a);
  (await waits).release();
});
