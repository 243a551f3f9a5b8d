import { describe, expect, it } from 'vitest';
import { a, b, busy, c, done, idle } from './cases.fake.ts';
import { explain } from './explain.ts';
import { unitOf } from './state.ts';
import type { Event } from './types.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';
import type { World } from './world.fake.ts';

const why = (world: World, unit = a) => explain(unitOf(world.state, unit), world.state, world.now);

describe('explain', () => {
  it('says where a unit is on its way up and down, and why', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    const told = [why(world)];
    const waiter = world.request(a);
    world.advance(2_000);
    told.push(why(world));
    done(world, 'started', a);
    told.push(why(world));
    world.apply({ kind: 'release', waiter, unit: a });
    told.push(why(world));
    world.advance(60_000);
    told.push(why(world));
    done(world, 'stopped', a);
    told.push(why(world));
    expect(told).toEqual([
      'nobody asked for it yet',
      'starting for 2 s: asked for by ada',
      'busy with 1 of 2',
      'idle: stops after 1 min without use',
      'stopping: nobody used it for 1 min',
      'nobody used it for 1 min',
    ]);
  });

  it('says what a waiter waits for, and for whom room was made', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b'), fakeUnit('c')], 10);
    busy(world, a);
    world.request(b);
    world.request(c);
    expect(why(world, b)).toBe('waits for memory: needs 10 B, 0 B are free');
    expect(why(world, c)).toBe('waits for memory: needs 10 B, 0 B are free, after 1 other');
    for (const waiter of world.leasesOf(a)) world.apply({ kind: 'release', waiter, unit: a });
    expect(why(world)).toBe('stopping: made room (10 B) for b');
  });

  it('says when what failed is tried again, and with what it failed', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    const fail = (permanent: boolean): Event => ({ kind: 'failed', unit: a, message: 'port in use', permanent });
    world.request(a);
    world.apply(fail(false));
    expect(why(world)).toBe('could not be started: port in use; tried again in 1 s');
    world.advance(1_000);
    world.apply(fail(true));
    expect(why(world)).toBe('could not be started: port in use; left alone for 5 min');
  });

  it('says that a frozen unit wakes, and thaws for whom', () => {
    const world = fakeWorld([fakeUnit('a', { idleRung: 'frozen' })], 10);
    idle(world, a);
    world.advance(60_000);
    done(world, 'frozen', a);
    expect(why(world)).toBe('frozen: nobody used it for 1 min; wakes on the next request');
    world.request(a);
    expect(why(world)).toBe('thawing: asked for by ada');
  });
});
