import { expect, it } from 'vitest';
import { replicaId } from '#kernel/ids';
import { a, b, c, done, idle, outcome, phase, release, told } from './cases.fake.ts';
import { explain } from './explain.ts';
import { outlookOf } from './outlook.ts';
import { unitOf } from './state.ts';
import type { Event, UnitSpec } from './types.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';
import type { World } from './world.fake.ts';

const card = (limitBytes: number): Event => ({ kind: 'devices', devices: [{ id: 'gpu0', limitBytes }] });
const onCard = (name: string, bytes: number, more: Partial<UnitSpec> = {}): UnitSpec =>
  fakeUnit(name, { vram: { device: 'gpu0', bytes }, ...more });
const charged = ({ state }: World) => state.devices.get('gpu0')?.charged;

function worldWith(limitBytes: number, ...units: UnitSpec[]): World {
  const world = fakeWorld(units, 100);
  world.apply(card(limitBytes));
  return world;
}

it('two units that fit into main memory and not onto the card together have it in turn', () => {
  const world = worldWith(10, onCard('a', 6), onCard('b', 6));
  idle(world, a);
  expect(charged(world)).toBe(6);
  world.request(b);
  expect(unitOf(world.state, a).reason).toMatchObject({ code: 'evicted', for: b, bytes: 6, device: 'gpu0' });
  expect([phase(world, a), phase(world, b)]).toEqual(['stopping', 'cold']);
  expect(done(world, 'stopped', a)).toEqual([`start ${b}`]);
  expect(charged(world)).toBe(6);
});

it('only who holds bytes of the card is stopped for it, and what that frees of main memory counts', () => {
  const cheap = fakeUnit('b', { declaredBytes: 40, priority: 0 });
  const world = worldWith(10, onCard('a', 6, { declaredBytes: 60 }), cheap, onCard('c', 6, { declaredBytes: 50 }));
  idle(world, a, b);
  world.request(c);
  expect([phase(world, a), phase(world, b)]).toEqual(['stopping', 'ready']);
});

it('what main memory still lacks once the card is free is freed by others', () => {
  const world = worldWith(10, onCard('a', 6, { declaredBytes: 10 }), fakeUnit('b', { declaredBytes: 80 }), {
    ...onCard('c', 6),
    declaredBytes: 70,
  });
  idle(world, a, b);
  world.request(c);
  expect([phase(world, a), phase(world, b)]).toEqual(['stopping', 'stopping']);
  done(world, 'stopped', a);
  expect(phase(world, c)).toBe('cold');
  expect(done(world, 'stopped', b)).toEqual([`start ${c}`]);
});

it('a frozen unit keeps its part of the card, and is stopped when that is needed', () => {
  const world = worldWith(10, onCard('a', 6, { idleRung: 'frozen', idleAfterMs: 10_000 }), onCard('b', 6));
  idle(world, a);
  world.advance(20_000);
  done(world, 'frozen', a);
  expect([phase(world, a), charged(world)]).toEqual(['frozen', 6]);
  world.request(b);
  expect(phase(world, a)).toBe('stopping');
});

it('what is larger than the card is refused with the bytes on both sides, and so is what names a card that is gone', () => {
  const world = worldWith(5, onCard('a', 6));
  expect(outcome(world, world.request(a))).toBe('NO_MEMORY');
  expect(explain(unitOf(world.state, a), world.state, world.now)).toContain('needs 6 B (6 bytes) on gpu0');
  world.apply(card(10));
  expect(outcome(world, world.request(a))).toBe('waiting');
  world.apply({ kind: 'devices', devices: [] });
  done(world, 'started', a);
  world.advance(60_000);
  release(world, a);
  expect(phase(world, a)).toBe('stopping');
});

it('when other programs take of the card, idle units give it up and busy ones do not', () => {
  const world = worldWith(20, onCard('a', 8), onCard('b', 8));
  idle(world, a, b);
  world.request(b);
  expect(told(world.apply(card(10)))).toEqual([`stop ${a} relief`]);
  expect(told(world.apply(card(4)))).toEqual([]);
  done(world, 'stopped', a);
  expect(release(world, b)).toEqual([`stop ${b} relief`]);
});

it('what a unit is measured to hold on the card counts from then on, and for its next start', () => {
  const world = worldWith(20, onCard('a', 6), onCard('b', 10));
  idle(world, a);
  world.apply({ kind: 'measured-vram', unit: a, bytes: 12 });
  expect(charged(world)).toBe(12);
  expect(outlookOf(unitOf(world.state, b), world.state, world.now)).toMatchObject({
    card: { device: 'gpu0', need: 10, free: 8, coming: 0, limit: 20 },
    wouldStop: [{ unit: a, bytes: 12, device: 'gpu0' }],
    fits: 'after-evictions',
  });
  expect(unitOf(world.state, a).card.learned).toBe(12);
});

it('regression: what one instance is measured to hold there is true of its copies too', () => {
  const world = worldWith(40, { ...onCard('a', 6), replicas: { min: 1, max: 2 } });
  idle(world, a);
  world.apply({ kind: 'measured-vram', unit: a, bytes: 12 });
  expect(unitOf(world.state, replicaId(a, 2)).card.learned).toBe(12);
});

it('a card that is short holds up nobody who does not need it', () => {
  const world = worldWith(6, onCard('a', 6), onCard('b', 6), fakeUnit('c'));
  idle(world, a);
  world.request(a);
  world.request(b);
  world.request(c);
  expect([phase(world, b), phase(world, c)]).toEqual(['cold', 'starting']);
  expect(explain(unitOf(world.state, b), world.state, world.now)).toContain('6 B on gpu0, where 0 B are free');
});

it('regression: a frozen unit that claims memory and is stopped for a card is not started in the same breath', () => {
  const large = fakeUnit('c', { declaredBytes: 96 });
  const freezes = onCard('a', 6, { declaredBytes: 4, idleRung: 'frozen', idleAfterMs: 10_000 });
  const world = worldWith(6, freezes, onCard('b', 6), large);
  idle(world, a, c);
  world.request(c);
  world.advance(20_000);
  done(world, 'frozen', a);
  // It gave memory back and somebody else took it, so that it claims some before it can thaw: after b, which waits longer.
  world.apply({ kind: 'measured', unit: a, bytes: 1 });
  world.apply({ kind: 'measured', unit: c, bytes: 98 });
  // Its next instance is to run without the card.
  world.apply({ kind: 'describe', unit: { ...freezes, vram: undefined } });
  world.request(b);
  world.request(a);
  world.advance(60_000);
  expect(told(world.apply({ kind: 'exited', unit: c, message: 'gone' }))).toEqual([`stop ${a} evicted`]);
  expect(done(world, 'stopped', a)).toEqual([`start ${b}`, `start ${a}`]);
});
