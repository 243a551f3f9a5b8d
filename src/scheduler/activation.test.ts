import { describe, expect, it } from 'vitest';
import { replicaId } from '#kernel/ids';
import { a, b, busy, done, idle, outcome, phase, release, stop, told } from './cases.fake.ts';
import { unitOf } from './state.ts';
import type { Event } from './types.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';

describe('activation', () => {
  it('starts a cold unit for the first who asks and grants when it is ready', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    const first = world.request(a);
    expect(phase(world, a)).toBe('starting');
    expect(done(world, 'started', a)).toEqual([`grant ${first}`]);
  });

  it('JoinInFlightSwap: who asks while it starts joins the same start', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    idle(world, a);
    const waiters = [world.request(b), world.request(b)];
    expect(phase(world, a)).toBe('stopping');
    waiters.push(world.request(b));
    expect(done(world, 'stopped', a)).toEqual([`start ${b}`]);
    expect(done(world, 'started', b)).toEqual(waiters.slice(0, 2).map((id) => `grant ${id}`));
    expect(release(world, b)).toEqual([`grant ${waiters[2]}`]);
  });

  it('grants at once on a ready unit with a free slot, and queues the next', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    idle(world, a);
    const waiters = [world.request(a), world.request(a), world.request(a)];
    expect(waiters.map((waiter) => outcome(world, waiter))).toEqual(['granted', 'granted', 'waiting']);
  });

  it('refuses an unknown unit with NOT_FOUND instead of throwing', () => {
    const world = fakeWorld([], 10);
    expect(outcome(world, world.request(a))).toBe('NOT_FOUND');
  });

  it('PrunesAbandonedWaiters: what is not started yet is not started for one who left', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    idle(world, a);
    const waiter = world.request(b);
    world.apply({ kind: 'leave', waiter, unit: b, keep: false });
    expect(done(world, 'stopped', a)).toEqual([]);
    expect(phase(world, b)).toBe('cold');
  });

  it('stops a start when the last who waited for it left', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    const waiters = [world.request(a), world.request(a)] as const;
    expect(told(world.apply({ kind: 'leave', waiter: waiters[0], unit: a, keep: false }))).toEqual([]);
    expect(told(world.apply({ kind: 'leave', waiter: waiters[1], unit: a, keep: false }))).toEqual([
      `stop ${a} abandoned`,
    ]);
    expect(done(world, 'started', a)).toEqual([]);
    expect(phase(world, a)).toBe('stopping');
  });

  it('goes on with a start whose last waiter left and will come back', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    const waiter = world.request(a);
    expect(told(world.apply({ kind: 'leave', waiter, unit: a, keep: true }))).toEqual([]);
    done(world, 'started', a);
    expect(phase(world, a)).toBe('ready');
    expect(told(world.advance(60_000))).toEqual([`stop ${a} idle`]);
  });

  it('begins a start that had no memory yet for one who left and will come back', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    busy(world, a);
    const waiter = world.request(b);
    world.apply({ kind: 'leave', waiter, unit: b, keep: true });
    release(world, a);
    expect(done(world, 'stopped', a)).toEqual([`start ${b}`]);
  });

  it('wakes a unit with nobody waiting, and takes it to be started by hand', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    expect(told(world.apply({ kind: 'wake', unit: a }))).toEqual([`start ${a}`]);
    expect(unitOf(world.state, a).reason).toEqual({ code: 'wanted', because: 'started' });
  });

  it('refuses a waiter at its deadline, and lets the start go on', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    const waiter = world.request(a, { deadline: 2_000 });
    expect(told(world.advance(1_999))).toEqual([]);
    expect(told(world.advance(1))).toEqual([`refuse ${waiter} TIMEOUT`]);
    expect(phase(world, a)).toBe('starting');
  });

  it('starts nothing for one whose deadline passed before there was memory', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    busy(world, a);
    world.request(b, { deadline: world.now + 1_000 });
    world.advance(1_000);
    expect(release(world, a)).toEqual([]);
  });

  it('answers QUEUE_FULL with the time a start takes', () => {
    const world = fakeWorld([fakeUnit('a', { startMs: 7_000 })], 10, { maxWaiters: 2 });
    const [, , third] = [world.request(a), world.request(a), world.request(a)];
    expect(outcome(world, third)).toBe('QUEUE_FULL');
    expect(world.history.some(({ effects }) => effects.includes('"retryAfterMs":7000'))).toBe(true);
  });

  it('OnShutdown_FailsAllWaiters, and takes no more', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    const waiters = [world.request(a), world.request(b), world.request(b)];
    world.apply({ kind: 'shutdown' });
    expect(waiters.map((waiter) => outcome(world, waiter))).toEqual(Array(3).fill('SHUTTING_DOWN'));
    expect(outcome(world, world.request(a))).toBe('SHUTTING_DOWN');
  });

  it('regression: a stop that waits for a lease is carried out while the platform stops', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    busy(world, a);
    world.apply({ kind: 'shutdown' });
    world.apply({ kind: 'stop', unit: a, reason: { code: 'shutdown' }, force: false });
    expect(release(world, a)).toEqual([`stop ${a} shutdown`]);
  });
});

describe('stop', () => {
  it('waits for the last lease; who waits then wakes it again', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    busy(world, a);
    expect(told(world.apply(stop(a)))).toEqual([]);
    const waiter = world.request(a);
    expect(release(world, a)).toEqual([`stop ${a} stopped-by-user`]);
    expect(done(world, 'stopped', a)).toEqual([`start ${a}`]);
    expect(done(world, 'started', a)).toEqual([`grant ${waiter}`]);
  });

  it('stops a busy unit at once when forced', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    busy(world, a);
    expect(told(world.apply(stop(a, true)))).toEqual([`stop ${a} stopped-by-user`]);
  });

  it.each([false, true])(
    'regression: stops a start at once instead of when it is done (with waiters: %s)',
    (waited) => {
      const world = fakeWorld([fakeUnit('a')], 10);
      if (waited) world.request(a);
      else world.apply({ kind: 'wake', unit: a });
      expect(told(world.apply(stop(a)))).toEqual([`stop ${a} stopped-by-user`]);
      expect(done(world, 'stopped', a)).toEqual(waited ? [`start ${a}`] : []);
    },
  );

  it('is taken back by waking the unit', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    busy(world, a);
    world.apply(stop(a));
    world.apply({ kind: 'wake', unit: a });
    expect(release(world, a)).toEqual([]);
  });

  it('starts it again when it was woken meanwhile', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    idle(world, a);
    world.apply(stop(a));
    expect(told(world.apply({ kind: 'wake', unit: a }))).toEqual([]);
    expect(done(world, 'stopped', a)).toEqual([`start ${a}`]);
  });

  it('waits for a freeze to end', () => {
    const world = fakeWorld([fakeUnit('a', { idleRung: 'frozen' })], 10);
    idle(world, a);
    world.advance(60_000);
    expect(told(world.apply(stop(a)))).toEqual([]);
    expect(done(world, 'frozen', a)).toEqual([`stop ${a} stopped-by-user`]);
  });
});

describe('a removed unit', () => {
  const removed: Event = { kind: 'configure', units: [] };

  it('is forgotten at once when cold', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    world.apply(removed);
    expect(world.state.units.size).toBe(0);
  });

  it('is stopped when ready or frozen, and forgotten once gone', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b', { idleRung: 'frozen' })], 20);
    idle(world, b);
    world.advance(60_000);
    done(world, 'frozen', b);
    idle(world, a);
    expect(told(world.apply(removed))).toEqual([`stop ${a} removed`, `stop ${b} removed`]);
    done(world, 'stopped', a);
    done(world, 'stopped', b);
    expect(world.state.units.size).toBe(0);
  });

  it('ends its work first when busy, and takes no new', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    busy(world, a);
    expect(told(world.apply(removed))).toEqual([]);
    expect(outcome(world, world.request(a))).toBe('NOT_FOUND');
    expect(release(world, a)).toEqual([`stop ${a} removed`]);
  });

  it('regression: is stopped while it starts, not when the start is done', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    const waiter = world.request(a);
    expect(told(world.apply(removed))).toEqual([`refuse ${waiter} NOT_FOUND`, `stop ${a} removed`]);
  });

  it('refuses who waited for it in backoff', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    const waiter = world.request(a);
    world.apply({ kind: 'failed', unit: a, message: '', permanent: false });
    expect(told(world.apply(removed))).toEqual([`refuse ${waiter} NOT_FOUND`]);
    expect(world.state.units.size).toBe(0);
  });

  it('comes back cold when it is named again while it stops', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    idle(world, a);
    world.apply(removed);
    world.apply({ kind: 'configure', units: [fakeUnit('a')] });
    world.request(a);
    expect(done(world, 'stopped', a)).toEqual([`start ${a}`]);
  });
});

describe('a unit that is forgotten', () => {
  const forget: Event = { kind: 'forget', unit: a };

  it('works to its end, takes no new work, and is gone once cold, alone', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 30);
    busy(world, a);
    idle(world, b);
    expect(told(world.apply(forget))).toEqual([]);
    const late = world.request(a);
    expect(outcome(world, late)).toBe('NOT_FOUND');
    expect(release(world, a)).toEqual([`stop ${a} removed`]);
    done(world, 'stopped', a);
    expect([...world.state.units.keys()]).toEqual([b]);
  });

  it('is gone at once where it is cold, and twice is once', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    for (const event of [forget, forget]) expect(told(world.apply(event))).toEqual([]);
    expect(world.state.units.size).toBe(0);
  });
});

it('regression: a copy is brought up by the release that shows how long requests take, and not some time later', () => {
  const world = fakeWorld([fakeUnit('a', { slots: 4, startMs: 100, replicas: { min: 1, max: 2 } })], 30);
  busy(world, a);
  world.advance(100_000);
  for (let i = 0; i < 100; i++) world.apply({ kind: 'release', waiter: world.request(a), unit: a });
  expect(phase(world, replicaId(a, 2))).toBe('cold');
  expect(release(world, a)).toEqual([`start ${replicaId(a, 2)}`]);
});
