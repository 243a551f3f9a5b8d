import { describe, expect, it } from 'vitest';
import type { UnitId } from '#kernel/ids';
import { a, b, c, d, busy, done, idle, outcome, phase, release } from './cases.fake.ts';
import { positionOf, unitsBefore } from './order.ts';
import { unitOf } from './state.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';

describe('order', () => {
  it('serves interactive before default before batch, and each in the order they came', () => {
    const world = fakeWorld([fakeUnit('a', { slots: 4 })], 10);
    const batch = world.request(a, { class: 'batch' });
    const [first, second] = [world.request(a), world.request(a)];
    const interactive = world.request(a, { class: 'interactive' });
    const place = (waiter: typeof batch) => positionOf(unitOf(world.state, a), waiter);
    expect([batch, first, second, interactive].map(place)).toEqual([4, 2, 3, 1]);
    expect(done(world, 'started', a)).toEqual([interactive, first, second, batch].map((id) => `grant ${id}`));
    expect(place(batch)).toBeNull();
  });

  it('says how many units go before one for memory', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b'), fakeUnit('c')], 10);
    busy(world, a);
    world.request(b);
    world.request(c, { class: 'interactive' });
    const before = (unit: UnitId) => unitsBefore(unitOf(world.state, unit), world.state);
    expect([before(a), before(b), before(c)]).toEqual([0, 1, 0]);
  });

  it('one large load does not delay a request for a ready unit', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b', { declaredBytes: 20 })], 20);
    busy(world, a);
    world.request(b);
    expect(outcome(world, world.request(a))).toBe('granted');
  });

  it('serves batch before newer interactive ones once it aged', () => {
    const world = fakeWorld([fakeUnit('a', { slots: 1 })], 10);
    busy(world, a);
    const batch = world.request(a, { class: 'batch' });
    world.advance(30_000);
    world.request(a, { class: 'interactive' });
    expect(release(world, a)).toEqual([`grant ${batch}`]);
  });

  it('an endless stream of requests yields to a claim within the bound', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    busy(world, a);
    const waiter = world.request(b);
    const asked = world.now;
    while (phase(world, a) === 'ready' && world.now < asked + 60_000) {
      const before = world.leasesOf(a);
      world.request(a, { class: 'interactive' });
      world.advance(1_000);
      for (const held of before) world.apply({ kind: 'release', waiter: held, unit: a });
    }
    expect(world.now - asked).toBeLessThanOrEqual(31_000);
    done(world, 'stopped', a);
    expect(done(world, 'started', b)).toEqual([`grant ${waiter}`]);
    expect(world.waiting().length).toBeGreaterThan(0);
  });

  it('a small claim may use memory meanwhile before the large one aged, and not after', () => {
    const large = fakeUnit('b', { declaredBytes: 20 });
    const small = { declaredBytes: 4 };
    const world = fakeWorld([fakeUnit('a'), large, fakeUnit('c', small), fakeUnit('d', small)], 20);
    busy(world, a);
    world.request(b);
    world.request(c);
    expect(phase(world, c)).toBe('starting');
    world.advance(30_000);
    world.request(d);
    expect(phase(world, d)).toBe('cold');
  });

  it('regression: nothing is evicted for those behind an aged claim', () => {
    const large = fakeUnit('b', { declaredBytes: 20 });
    const world = fakeWorld(
      [fakeUnit('a'), large, fakeUnit('c', { declaredBytes: 6 }), fakeUnit('d', { declaredBytes: 5 })],
      20,
    );
    idle(world, c);
    busy(world, a);
    world.request(b);
    world.advance(30_000);
    world.request(d);
    expect(phase(world, c)).toBe('ready');
  });

  it('a core unit that lost its memory gets it back without waiting for the bound', () => {
    const core = fakeUnit('a', { tier: 'core' });
    const world = fakeWorld([core, fakeUnit('b')], 10);
    world.apply({ kind: 'failed', unit: a, message: '', permanent: false });
    world.request(b);
    done(world, 'started', b);
    world.advance(5_000);
    const late = world.request(b);
    expect(outcome(world, late)).toBe('waiting');
    expect(release(world, b)).toEqual([`stop ${b} evicted`]);
    expect(done(world, 'stopped', b)).toEqual([`start ${a}`, `refuse ${late} NO_MEMORY`]);
  });

  it('a frozen unit whose waiter came before the aged claim thaws instead of making room', () => {
    const world = fakeWorld([fakeUnit('a', { idleRung: 'frozen' }), fakeUnit('b')], 10);
    idle(world, a);
    world.advance(55_000);
    const first = world.request(a);
    world.request(b);
    world.advance(30_000);
    expect(done(world, 'frozen', a)).toEqual([`thaw ${a}`]);
    expect(done(world, 'thawed', a)).toEqual([`grant ${first}`]);
  });

  it('serves who came before the aged claim although the unit is to make room', () => {
    const world = fakeWorld([fakeUnit('a', { slots: 1 }), fakeUnit('b')], 10);
    busy(world, a);
    const first = world.request(a);
    world.request(b);
    world.advance(30_000);
    const late = world.request(a);
    expect(release(world, a)).toEqual([`grant ${first}`]);
    expect(release(world, a)).toEqual([`stop ${a} evicted`]);
    expect(outcome(world, late)).toBe('waiting');
  });

  it('a frozen unit whose waiter did not age thaws instead of making room', () => {
    const world = fakeWorld([fakeUnit('a', { idleRung: 'frozen' }), fakeUnit('b')], 10);
    idle(world, a);
    world.advance(55_000);
    world.request(a);
    world.request(b, { class: 'interactive' });
    expect(done(world, 'frozen', a)).toEqual([`thaw ${a}`]);
  });

  it('takes over what comes in, and evicts, at the moment it ages', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b'), fakeUnit('c'), fakeUnit('d', { declaredBytes: 20 })], 20);
    idle(world, a);
    busy(world, b);
    world.request(d, { class: 'batch' });
    world.advance(1_000);
    world.request(c, { class: 'interactive' });
    release(world, b);
    expect([phase(world, a), phase(world, b)]).toEqual(['stopping', 'ready']);
    world.advance(28_999);
    expect(phase(world, b)).toBe('ready');
    world.advance(1);
    expect(phase(world, b)).toBe('stopping');
  });

  it('regression: what is in the way is found after those before the aged claim were served', () => {
    const units = [fakeUnit('a', { priority: 0, slots: 1 }), fakeUnit('b', { priority: 75 }), fakeUnit('c')];
    const world = fakeWorld(units, 20);
    busy(world, a, b);
    const first = world.request(a);
    world.request(c);
    world.advance(30_000);
    const late = world.request(b);
    expect(outcome(world, late)).toBe('waiting');
    expect(release(world, a)).toEqual([`grant ${first}`, `grant ${late}`]);
  });

  it('regression: who ages at a time that rounds is not forgotten', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b', { startMs: 0 })], 10, { ageingMs: 3, minResidencyMs: 0 });
    world.request(a);
    done(world, 'started', a);
    world.elapse(1.1);
    world.request(b);
    expect(1.1 + 3 - 1.1).toBeLessThan(3);
    world.advance(3);
    expect(outcome(world, world.request(a))).toBe('waiting');
  });

  it('counts by a new bound from the moment that it is set', () => {
    const world = fakeWorld([fakeUnit('a', { slots: 1 })], 10);
    busy(world, a);
    const batch = world.request(a, { class: 'batch' });
    const other = world.request(a);
    world.advance(10_000);
    world.apply({ kind: 'settings', settings: { ...world.state.settings, ageingMs: 10_000 } });
    expect(unitOf(world.state, a).queue.line.map(({ id }) => id)).toEqual([batch, other]);
  });
});
