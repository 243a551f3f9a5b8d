import { describe, expect, it } from 'vitest';
import { a, b, busy, done, idle, release, stop, told } from './cases.fake.ts';
import { reservationOf, unitOf } from './state.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';
import type { World } from './world.fake.ts';

/** One run in which it is used, and seen to take so much. */
function use(world: World, bytes: number): void {
  busy(world, a);
  world.apply({ kind: 'measured', unit: a, bytes });
  release(world, a);
  world.apply(stop(a));
  done(world, 'stopped', a);
}
const next = (world: World) => reservationOf(unitOf(world.state, a));
const small = fakeUnit('a', { declaredBytes: 10, learnedAs: '8k' });

describe('what a unit needs', () => {
  it('is what it was seen to take at most, from the next start on', () => {
    const world = fakeWorld([small], 1_000);
    use(world, 90);
    expect(next(world)).toBe(90);
    expect(told(world.apply({ kind: 'wake', unit: a }))).toEqual([`start ${a}`]);
    expect(world.instances.get(a)?.bytes).toBe(90);
  });

  it('comes down over many runs that need less, and goes up at once', () => {
    const world = fakeWorld([small], 1_000);
    use(world, 100);
    use(world, 20);
    expect(next(world)).toBe(90);
    for (let i = 0; i < 7; i++) use(world, 20);
    expect(next(world)).toBeLessThan(50);
    for (let i = 0; i < 40; i++) use(world, 20);
    expect(next(world)).toBeLessThan(25);
    use(world, 100);
    expect(next(world)).toBe(100);
  });

  it('is not learned from a run in which nobody used it, nor from what it keeps while frozen', () => {
    const world = fakeWorld([{ ...small, idleRung: 'frozen' }], 1_000);
    use(world, 100);
    idle(world, a);
    world.apply({ kind: 'measured', unit: a, bytes: 15 });
    world.advance(60_000);
    done(world, 'frozen', a);
    world.apply({ kind: 'measured', unit: a, bytes: 5 });
    world.apply(stop(a));
    done(world, 'stopped', a);
    expect([next(world), unitOf(world.state, a).frozenBytes]).toEqual([100, 5]);
  });

  it('is another thing under other settings, and what still runs under the old ones does not teach it', () => {
    const world = fakeWorld([small, fakeUnit('b')], 1_000);
    use(world, 100);
    busy(world, a);
    const large = { ...small, declaredBytes: 40, learnedAs: '32k', learnedBytes: 60, startMs: 700 };
    world.apply({ kind: 'describe', unit: large });
    expect(next(world)).toBe(60);
    world.apply({ kind: 'measured', unit: a, bytes: 110 });
    expect([next(world), unitOf(world.state, a).startMs]).toEqual([60, 700]);
    release(world, a);
    world.apply(stop(a));
    done(world, 'stopped', a);
    expect(next(world)).toBe(60);
    use(world, 80);
    expect(next(world)).toBe(80);
    expect(reservationOf(unitOf(world.state, b))).toBe(10);
  });

  it('is what this run learned, whatever the caller remembers', () => {
    const world = fakeWorld([small], 1_000);
    use(world, 100);
    use(world, 20);
    world.apply({ kind: 'describe', unit: { ...small, learnedBytes: 100 } });
    expect(next(world)).toBe(90);
  });
});
