import { describe, expect, it } from 'vitest';
import { a, done, idle, phase, told } from './cases.fake.ts';
import { explain } from './explain.ts';
import { rungOf } from './rung.ts';
import { createUnit, unitOf } from './state.ts';
import type { UnitSpec } from './types.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';

const rungs = { freezable: true, frozenBytes: 10, freezeMs: null, thawMs: 100, stopMs: null };
const slow = { idleRung: 'auto', startMs: 2_100, rungs } as const;
/** With a limit of 1,000 bytes: what ten of them are worth is 0.6 s. */
const rung = (given: Partial<UnitSpec>) =>
  rungOf(createUnit(fakeUnit('a', { ...slow, ...given }), 1), { limitBytes: 1_000 });

describe('the rung of an idle unit', () => {
  it.each([
    ['starts slowly and keeps little', {}, 'frozen'],
    ['keeps too much for that', { rungs: { ...rungs, frozenBytes: 34 } }, 'cold'],
    ['keeps just not too much', { rungs: { ...rungs, frozenBytes: 33 } }, 'frozen'],
    ['starts quickly', { startMs: 600 }, 'cold'],
    ['starts quickly and keeps nothing', { startMs: 600, rungs: { ...rungs, frozenBytes: 0 } }, 'frozen'],
    ['thaws no faster than it starts', { rungs: { ...rungs, frozenBytes: 0, thawMs: 2_100 } }, 'cold'],
    ['should stay: that counts four times', { rungs: { ...rungs, frozenBytes: 130 }, tier: 'persistent' }, 'frozen'],
    ['matters: ten steps of priority count twice', { rungs: { ...rungs, frozenBytes: 60 }, priority: 60 }, 'frozen'],
    ['matters little', { priority: 20 }, 'cold'],
    ['was never frozen: to see what it keeps', { rungs: { ...rungs, frozenBytes: null }, startMs: 1 }, 'frozen'],
    ['cannot be frozen', { rungs: { ...rungs, freezable: false } }, 'cold'],
    ['says so itself', { idleRung: 'cold' }, 'cold'],
    ['says so itself, whatever it costs', { idleRung: 'frozen', startMs: 1 }, 'frozen'],
  ] as const)('of one that %s', (_, given, wanted) => expect(rung(given)).toBe(wanted));

  it('is seen again once it was frozen for its idle time: what turned out to keep too much is stopped', () => {
    const world = fakeWorld([fakeUnit('a', { ...slow, rungs: { ...rungs, frozenBytes: null } })], 1_000);
    const why = () => explain(unitOf(world.state, a), world.state, world.now);
    idle(world, a);
    expect(why()).toMatch(/^idle: freezes after/);
    expect(told(world.advance(60_000))).toEqual([`freeze ${a}`]);
    done(world, 'frozen', a);
    // Before the system took back of it what it could.
    world.apply({ kind: 'measured', unit: a, bytes: 500 });
    expect(told(world.advance(59_999))).toEqual([]);
    expect(told(world.advance(1))).toEqual([`stop ${a} idle`]);
    done(world, 'stopped', a);
    // From now on that is known.
    idle(world, a);
    expect(why()).toMatch(/^idle: stops after/);
    expect(told(world.advance(60_000))).toEqual([`stop ${a} idle`]);
  });

  it('stays frozen when what it keeps came down meanwhile', () => {
    const world = fakeWorld([fakeUnit('a', slow)], 1_000);
    world.apply({ kind: 'wake', unit: a });
    world.advance(2_100);
    done(world, 'started', a);
    world.advance(60_000);
    done(world, 'frozen', a);
    world.apply({ kind: 'measured', unit: a, bytes: 500 });
    world.apply({ kind: 'measured', unit: a, bytes: 5 });
    expect(told(world.advance(600_000))).toEqual([]);
    expect(phase(world, a)).toBe('frozen');
    // What changes later is looked at when it is told.
    expect(told(world.apply({ kind: 'measured', unit: a, bytes: 500 }))).toEqual([`stop ${a} idle`]);
  });
});
