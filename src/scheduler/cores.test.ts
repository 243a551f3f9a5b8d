import { expect, it } from 'vitest';
import { a, b, c, d, done, idle, outcome, phase, release } from './cases.fake.ts';
import { explain } from './explain.ts';
import { unitOf } from './state.ts';
import { plainRungs } from './types.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';
import type { World } from './world.fake.ts';

/** Units that are ready, each with so many threads, on so many cores. */
function worldWith(cores: number, threads: Readonly<Record<string, number>>, ageingMs = 30_000): World {
  const units = Object.entries(threads).map(([name, count]) => fakeUnit(name, { threads: count, slots: 4 }));
  const world = fakeWorld(units, 100, { ageingMs });
  world.apply({ kind: 'cores', cores });
  idle(world, ...units.map(({ id }) => id));
  return world;
}

const why = (world: World, unit: typeof a) => explain(unitOf(world.state, unit), world.state, world.now);

it('units that compute do so one after the other when their threads are more than the cores', () => {
  const world = worldWith(4, { a: 3, b: 3 });
  world.request(a);
  const second = world.request(b);
  expect([world.state.cores.busy, outcome(world, second)]).toEqual([3, 'waiting']);
  expect(why(world, b)).toBe('waits for the processor: computes with 3 threads, and 3 of 4 are busy');
  expect(release(world, a)).toEqual([`grant ${second}`]);
  expect(world.state.cores.busy).toBe(3);
});

it('and at once when they fit', () => {
  const world = worldWith(4, { a: 2, b: 2 });
  expect([world.request(a), world.request(b)].map((id) => outcome(world, id))).toEqual(['granted', 'granted']);
  expect(world.state.cores.busy).toBe(4);
});

it('what has more threads than there are cores runs by itself', () => {
  const world = worldWith(2, { a: 6, b: 1 });
  expect(outcome(world, world.request(a))).toBe('granted');
  expect(outcome(world, world.request(b))).toBe('waiting');
});

it('a busy unit takes more work freely, until somebody waits for cores', () => {
  const world = worldWith(4, { a: 3, b: 3 });
  world.request(a);
  expect(outcome(world, world.request(a))).toBe('granted');
  const waiting = world.request(b);
  const behind = world.request(a);
  expect([outcome(world, waiting), outcome(world, behind)]).toEqual(['waiting', 'waiting']);
  expect(why(world, a)).toBe('waits for the processor behind b, which was asked for before');
  expect(release(world, a)).toEqual([`grant ${waiting}`]);
  expect(release(world, b)).toEqual([`grant ${behind}`]);
});

it('nobody who would fit overtakes one who does not', () => {
  const world = worldWith(4, { a: 3, b: 3, c: 1 });
  world.request(a);
  const [large, small] = [world.request(b), world.request(c)];
  expect([outcome(world, large), outcome(world, small)]).toEqual(['waiting', 'waiting']);
  expect(release(world, a)).toEqual([`grant ${large}`, `grant ${small}`]);
});

it('interactive requests go before, also for cores, until one has aged', () => {
  const world = worldWith(4, { a: 3, b: 3 }, 10_000);
  world.request(a);
  const patient = world.request(b, { class: 'batch' });
  expect(outcome(world, world.request(a, { class: 'interactive' }))).toBe('granted');
  world.advance(10_000);
  expect(outcome(world, world.request(a, { class: 'interactive' }))).toBe('waiting');
  expect(release(world, a)[0]).toBe(`grant ${patient}`);
});

it('who leaves lets those behind it go on, and so does an instance that ends', () => {
  const world = worldWith(4, { a: 3, b: 3 });
  world.request(a);
  const first = world.request(b);
  const behind = world.request(a);
  world.apply({ kind: 'leave', waiter: first, unit: b, keep: false });
  expect(outcome(world, behind)).toBe('granted');
  const last = world.request(b);
  world.apply({ kind: 'exited', unit: a, message: 'gone' });
  expect([outcome(world, last), world.state.cores.busy]).toEqual(['granted', 3]);
});

it('more cores serve more at once', () => {
  const world = worldWith(4, { a: 3, b: 3 });
  world.request(a);
  const second = world.request(b);
  world.apply({ kind: 'cores', cores: 8 });
  expect([outcome(world, second), world.state.cores.busy]).toEqual(['granted', 6]);
});

it('services take no threads: nobody waits for them, and they wait for nobody', () => {
  const world = worldWith(1, { a: 1, b: 0 });
  world.request(a);
  expect(outcome(world, world.request(b))).toBe('granted');
});

it('regression: a unit that waits for cores makes room for who came before, and does not take it back from there', () => {
  const rungs = { ...plainRungs, freezable: true, frozenBytes: 1, thawMs: 10 };
  const units = [
    fakeUnit('a', { declaredBytes: 5, threads: 2, rungs }),
    fakeUnit('b', { declaredBytes: 1, threads: 1 }),
    fakeUnit('c', { declaredBytes: 11 }),
    fakeUnit('d', { declaredBytes: 3, startMs: 5_000 }),
  ];
  const world = fakeWorld(units, 17);
  world.apply({ kind: 'cores', cores: 2 });
  idle(world, b);
  world.request(b);
  world.apply({ kind: 'wake', unit: a });
  world.apply({ kind: 'started', unit: a });
  // Ada asks for much and is held back for it; nobody makes room for her while a is within its residency.
  for (const unit of [d, c]) world.request(unit, { principal: 'ada' });
  done(world, 'started', d);
  world.request(a, { principal: 'bob' });
  world.advance(35_000);
  expect([phase(world, a), phase(world, c)]).toEqual(['freezing', 'cold']);
  expect(done(world, 'frozen', a)).toEqual([`start ${c}`]);
});
