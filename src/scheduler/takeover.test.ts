import { describe, expect, it } from 'vitest';
import type { WaiterId } from '#kernel/ids';
import { a, b, outcome, phase, told } from './cases.fake.ts';
import { unitOf } from './state.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';

const [one, two] = ['one', 'two'] as unknown as readonly [WaiterId, WaiterId];

describe('what an earlier process left at work', () => {
  it('is busy until the leases that it left are given back', () => {
    const world = fakeWorld([], 10);
    const units = [fakeUnit('a', { slots: 3 }), fakeUnit('b')];
    world.apply({ kind: 'configure', units, found: [{ unit: a, frozen: false, leases: [one, two] }] });
    const waiter = world.request(b);
    world.elapse(world.state.settings.minResidencyMs);
    expect([phase(world, a), outcome(world, waiter)]).toEqual(['ready', 'waiting']);
    world.apply({ kind: 'release', waiter: one, unit: a });
    expect(phase(world, a)).toBe('ready');
    expect(told(world.apply({ kind: 'release', waiter: two, unit: a }))).toEqual([`stop ${a} evicted`]);
  });

  it('has only those slots free that it left free', () => {
    const world = fakeWorld([], 10);
    const units = [fakeUnit('a', { slots: 1 })];
    world.apply({ kind: 'configure', units, found: [{ unit: a, frozen: false, leases: [one] }] });
    const waiter = world.request(a);
    expect(outcome(world, waiter)).toBe('waiting');
    world.apply({ kind: 'release', waiter: one, unit: a });
    expect(outcome(world, waiter)).toBe('granted');
  });

  it('is not stopped while something is open that outlived its lease, frozen or not', () => {
    const rungs = { freezable: true, frozenBytes: 2, freezeMs: null, thawMs: 5, stopMs: null };
    const world = fakeWorld([], 10);
    const units = [fakeUnit('a', { rungs }), fakeUnit('b', { declaredBytes: 9 })];
    world.apply({ kind: 'configure', units, found: [{ unit: a, frozen: true, open: [one] }] });
    world.request(b);
    expect(phase(world, a)).toBe('frozen');
    world.apply({ kind: 'closed', waiter: one, unit: a });
    expect([phase(world, a), unitOf(world.state, a).connections.size]).toEqual(['stopping', 0]);
  });
});
