import { describe, expect, it } from 'vitest';
import { a, b, c, d, busy, done, idle, outcome, phase, release, stop, told } from './cases.fake.ts';
import { unitOf } from './state.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';

describe('eviction', () => {
  it('stops an idle unit for a claim and starts only once its bytes are back', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 15);
    idle(world, a);
    const waiter = world.request(b);
    expect(unitOf(world.state, a).reason).toMatchObject({ code: 'evicted', for: b, bytes: 10 });
    expect(phase(world, b)).toBe('cold');
    expect(done(world, 'stopped', a)).toEqual([`start ${b}`]);
    expect(done(world, 'started', b)).toEqual([`grant ${waiter}`]);
  });

  it('takes no more victims than the claim needs', () => {
    const small = { declaredBytes: 3 };
    const world = fakeWorld([fakeUnit('a', small), fakeUnit('b', { declaredBytes: 8 }), fakeUnit('c')], 13);
    idle(world, a, b);
    world.request(c);
    expect([phase(world, a), phase(world, b)]).toEqual(['ready', 'stopping']);
  });

  it('NoSwapWhileServing: a leased unit stays until its last lease', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    busy(world, a);
    world.request(a);
    world.request(b);
    const [first, second] = world.leasesOf(a);
    expect(told(world.advance(600_000))).toEqual([]);
    expect(first && told(world.apply({ kind: 'release', waiter: first, unit: a }))).toEqual([]);
    expect(second && told(world.apply({ kind: 'release', waiter: second, unit: a }))).toEqual([`stop ${a} evicted`]);
  });

  it('lets a unit that just became ready stay for its residency, and evicts it then by a tick', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    world.apply({ kind: 'wake', unit: a });
    done(world, 'started', a);
    world.request(b);
    expect(told(world.advance(4_999))).toEqual([]);
    expect(told(world.advance(1))).toEqual([`stop ${a} evicted`]);
  });

  it.each([
    ['pinned', {}, true],
    ['core', { tier: 'core' }, false],
  ] as const)('never takes what is %s, and says how much it holds', (_, given, pinned) => {
    const world = fakeWorld([fakeUnit('a', given), fakeUnit('b')], 15);
    if (pinned) world.apply({ kind: 'pin', unit: a, pinned });
    done(world, 'started', a);
    world.advance(600_000);
    expect(outcome(world, world.request(b))).toBe('NO_MEMORY');
    const last = world.history.findLast(({ effects }) => effects.includes('NO_MEMORY'));
    expect(last?.effects).toContain('"neededBytes":10,"limitBytes":15,"heldBytes":10');
  });

  it('refuses what is larger than the limit, with the bytes on both sides', () => {
    const world = fakeWorld([fakeUnit('a', { declaredBytes: 20 })], 10);
    expect(outcome(world, world.request(a))).toBe('NO_MEMORY');
    const refused = world.history.find(({ effects }) => effects.includes('NO_MEMORY'));
    expect(refused?.effects).toMatch(/needs .*\(20 bytes\).*limit is .*\(10 bytes\)/);
  });

  it('reserves what was learned where that is more than declared', () => {
    const world = fakeWorld([fakeUnit('a', { learnedBytes: 12 })], 15);
    expect(told(world.apply({ kind: 'wake', unit: a }))).toEqual([`start ${a}`]);
    expect(world.instances.get(a)?.bytes).toBe(12);
  });

  it('takes frozen before ready, low priority before high, the longest idle first', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b'), fakeUnit('c', { priority: 40 }), fakeUnit('d')], 30);
    idle(world, a, b, c);
    world.request(a);
    release(world, a);
    world.request(d);
    expect(phase(world, c)).toBe('stopping');
    done(world, 'stopped', c);
    world.apply({ kind: 'limit', bytes: 20 });
    expect([phase(world, a), phase(world, b)]).toEqual(['ready', 'stopping']);
  });

  it('relieves by idle units when more is measured than reserved, and lets busy ones be', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 20);
    idle(world, a, b);
    world.request(b);
    expect(told(world.apply({ kind: 'measured', unit: b, bytes: 15 }))).toEqual([`stop ${a} relief`]);
    expect(told(world.apply({ kind: 'measured', unit: b, bytes: 25 }))).toEqual([]);
    expect(told(world.advance(600_000))).toEqual([]);
  });

  it('brings a lowered limit about by idle units only', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 20);
    idle(world, a, b);
    world.request(a);
    expect(told(world.apply({ kind: 'limit', bytes: 5 }))).toEqual([`stop ${b} relief`]);
    expect(release(world, a)).toEqual([`stop ${a} relief`]);
  });

  it('takes over recovered units even above the limit, and makes use of them', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    world.apply({ kind: 'recovered', unit: a, frozen: false });
    world.apply({ kind: 'recovered', unit: b, frozen: true });
    expect([phase(world, a), phase(world, b)]).toEqual(['ready', 'stopping']);
    expect(outcome(world, world.request(a))).toBe('granted');
  });

  it('regression: finds a core unit running instead of starting it a second time', () => {
    const world = fakeWorld([], 20);
    const units = [fakeUnit('a', { tier: 'core' }), fakeUnit('b')];
    const found = [
      { unit: a, frozen: false },
      { unit: b, frozen: true },
      { unit: c, frozen: false },
    ];
    expect(told(world.apply({ kind: 'configure', units, found }))).toEqual([]);
    expect([phase(world, a), phase(world, b)]).toEqual(['ready', 'frozen']);
  });

  it('lets one who asks while a pinned unit stops have its bytes', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    idle(world, a);
    world.apply({ kind: 'pin', unit: a, pinned: true });
    world.apply(stop(a));
    const waiter = world.request(b);
    expect(outcome(world, waiter)).toBe('waiting');
    expect(done(world, 'stopped', a)).toEqual([`start ${b}`]);
  });

  it('counts on what is coming only beyond what is over the limit', () => {
    const units = [fakeUnit('a', { declaredBytes: 12 }), fakeUnit('b', { declaredBytes: 5 })];
    const world = fakeWorld([...units, fakeUnit('c', { declaredBytes: 3 }), fakeUnit('d', { declaredBytes: 5 })], 20);
    idle(world, c);
    busy(world, b);
    idle(world, a);
    world.apply({ kind: 'limit', bytes: 10 });
    expect([phase(world, c), phase(world, a)]).toEqual(['ready', 'stopping']);
    world.request(d);
    expect(phase(world, c)).toBe('stopping');
  });

  it('starts what weighs nothing although more is charged than the limit allows', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b', { declaredBytes: 0 })], 10);
    busy(world, a);
    world.apply({ kind: 'measured', unit: a, bytes: 30 });
    expect(told(world.apply({ kind: 'wake', unit: b }))).toEqual([`start ${b}`]);
  });

  it('regression: refuses who waits for what a pinned unit began to hold after that one had its turn', () => {
    const world = fakeWorld(
      [fakeUnit('a', { declaredBytes: 6 }), fakeUnit('b'), fakeUnit('c', { declaredBytes: 4 })],
      10,
    );
    busy(world, a);
    const waiter = world.request(b);
    world.apply({ kind: 'pin', unit: c, pinned: true });
    expect([phase(world, c), outcome(world, waiter)]).toEqual(['starting', 'NO_MEMORY']);
  });

  it('regression: a removed core unit holds nothing for good', () => {
    const world = fakeWorld([fakeUnit('a', { tier: 'core' }), fakeUnit('b')], 10);
    done(world, 'started', a);
    world.request(a);
    world.apply({ kind: 'configure', units: [fakeUnit('b')] });
    const waiter = world.request(b);
    expect(outcome(world, waiter)).toBe('waiting');
    expect(release(world, a)).toEqual([`stop ${a} removed`]);
    expect(done(world, 'stopped', a)).toEqual([`start ${b}`]);
  });
});
