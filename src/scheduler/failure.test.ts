import { describe, expect, it } from 'vitest';
import type { UnitId } from '#kernel/ids';
import { a, b, busy, done, idle, outcome, phase, stop, told } from './cases.fake.ts';
import type { Event } from './types.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';
import type { World } from './world.fake.ts';

describe('failure', () => {
  const failed = (world: World, unit: UnitId, permanent = false) =>
    told(world.apply({ kind: 'failed', unit, message: 'port in use', permanent }));

  it('tries again after a growing pause, then leaves it alone and refuses all who wait', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    const waiters = [world.request(a), world.request(a)];
    expect(failed(world, a)).toEqual([]);
    expect(told(world.advance(999))).toEqual([]);
    expect(told(world.advance(1))).toEqual([`start ${a}`]);
    failed(world, a);
    expect(told(world.advance(1_999))).toEqual([]);
    expect(told(world.advance(1))).toEqual([`start ${a}`]);
    expect(failed(world, a)).toEqual(waiters.map((id) => `refuse ${id} START_FAILED`));
    expect(outcome(world, world.request(a))).toBe('START_FAILED');
    expect(told(world.advance(300_000))).toEqual([]);
    world.request(a);
    expect(phase(world, a)).toBe('starting');
  });

  it('leaves a permanent failure alone at once', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    const waiter = world.request(a);
    expect(failed(world, a, true)).toEqual([`refuse ${waiter} START_FAILED`]);
    expect(phase(world, a)).toBe('quarantined');
  });

  it('tries a quarantined unit again when it is started by hand', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    world.request(a);
    failed(world, a, true);
    expect(told(world.apply({ kind: 'wake', unit: a }))).toEqual([`start ${a}`]);
  });

  it('lets others use the memory of one that failed', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    world.request(a);
    world.request(b);
    expect(failed(world, a)).toEqual([`start ${b}`]);
  });

  it('takes an exit while leased for the end of its leases, and starts again for who waits', () => {
    const world = fakeWorld([fakeUnit('a', { slots: 1 })], 10);
    busy(world, a);
    const next = world.request(a);
    const [held] = world.leasesOf(a);
    expect(told(world.apply({ kind: 'exited', unit: a, message: 'signal 11' }))).toEqual([]);
    expect(held && outcome(world, held)).toBe('lost');
    expect(held && told(world.apply({ kind: 'release', waiter: held, unit: a }))).toEqual([]);
    expect(told(world.advance(1_000))).toEqual([`start ${a}`]);
    expect(done(world, 'started', a)).toEqual([`grant ${next}`]);
  });

  it('regression: failures before a proper start are not counted as in a row', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    for (let round = 0; round < 6; round++) {
      const waiter = world.request(a);
      failed(world, a);
      world.advance(1_000);
      done(world, 'started', a);
      world.apply({ kind: 'release', waiter, unit: a });
      world.apply(stop(a));
      done(world, 'stopped', a);
    }
    expect(phase(world, a)).toBe('cold');
  });

  it('does not count the exit of what ran for longer than the longest pause', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    for (let round = 0; round < 5; round++) {
      world.request(a);
      world.advance(60_000);
      done(world, 'started', a);
      world.advance(60_001);
      world.apply({ kind: 'exited', unit: a, message: 'signal 11' });
    }
    expect(phase(world, a)).toBe('backoff');
  });

  it('takes an exit while it stops for the end of the stop', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    idle(world, a);
    world.apply(stop(a));
    world.apply({ kind: 'exited', unit: a, message: 'signal 15' });
    expect(phase(world, a)).toBe('cold');
    expect(done(world, 'stopped', a)).toEqual([]);
  });

  it('forgets a stop that waited for a lease when the unit exits', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    busy(world, a);
    world.apply(stop(a));
    const waiter = world.request(a);
    world.apply({ kind: 'exited', unit: a, message: 'signal 11' });
    world.advance(1_000);
    expect(done(world, 'started', a)).toEqual([`grant ${waiter}`]);
  });

  it('does not start a quarantined unit again by itself', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    world.apply({ kind: 'wake', unit: a });
    failed(world, a, true);
    expect(told(world.advance(600_000))).toEqual([]);
  });

  it('takes a request after the quarantine although no tick came yet', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    world.request(a);
    failed(world, a, true);
    world.elapse(300_000);
    expect(outcome(world, world.request(a))).toBe('waiting');
  });

  it('counts exits soon after a start as in a row', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    for (let round = 0; round < 3; round++) {
      world.request(a);
      world.advance(10_000);
      done(world, 'started', a);
      world.apply({ kind: 'exited', unit: a, message: 'signal 11' });
    }
    expect(phase(world, a)).toBe('quarantined');
  });

  it.each(['started', 'stopped', 'frozen', 'thawed', 'recovered', 'measured', 'failed', 'exited'] as const)(
    'regression: %s of a forgotten unit means nothing',
    (kind) => {
      const world = fakeWorld([], 10);
      const event = { kind, unit: a, frozen: true, bytes: 1, message: '', permanent: false } as Event;
      expect(world.apply(event)).toEqual([]);
    },
  );

  it.each([{ kind: 'wake', unit: a }, stop(a), { kind: 'pin', unit: a, pinned: true }] as const)(
    'throws NOT_FOUND when asked to $kind what is not there',
    (event) => {
      expect(() => fakeWorld([], 10).apply(event)).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    },
  );
});
