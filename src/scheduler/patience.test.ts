import { describe, expect, it } from 'vitest';
import { unitId } from '#kernel/ids';
import { done } from './cases.fake.ts';
import { patienceMs } from './patience.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
/** Each of them fills the machine, and takes ten seconds to start. */
const fleet = names.map((name) => fakeUnit(name, { startMs: 10_000 }));
const ask = (world: ReturnType<typeof fakeWorld>, ...asked: string[]) =>
  asked.map((name) => world.request(unitId('model', name)));

describe('patience', () => {
  it('is the bound while what is asked for takes less than a third of it', () => {
    const world = fakeWorld(fleet, 10, { ageingMs: 30_000 });
    ask(world, 'a', 'b');
    expect(patienceMs(world.state)).toBe(30_000);
  });

  it('grows with what is asked for beyond that, and comes back when it was served', () => {
    const world = fakeWorld(fleet, 10, { ageingMs: 30_000 });
    ask(world, ...names);
    expect(patienceMs(world.state)).toBeCloseTo(3 * 70_000);
    for (const waiter of world.waiting()) {
      const unit = world.callers.get(waiter)?.unit;
      if (unit) world.apply({ kind: 'leave', waiter, unit, keep: false });
    }
    expect(patienceMs(world.state)).toBe(30_000);
    expect(world.state.backlogMs).toBe(0);
  });

  it('does not grow by one that waits long beside a stream of requests that never ends', () => {
    const world = fakeWorld([fakeUnit('a', { startMs: 1_000 }), fakeUnit('b', { startMs: 1_000 })], 10);
    ask(world, 'a');
    done(world, 'started', unitId('model', 'a'));
    ask(world, 'b');
    for (let i = 0; i < 60; i++) {
      const [held] = world.leasesOf(unitId('model', 'a'));
      ask(world, 'a');
      if (held) world.apply({ kind: 'release', waiter: held, unit: unitId('model', 'a') });
      world.advance(1_000);
      expect(patienceMs(world.state)).toBe(30_000);
    }
  });
});
