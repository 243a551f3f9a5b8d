import { describe, expect, it } from 'vitest';
import { a, b, busy, done, idle, outcome, phase, release, told } from './cases.fake.ts';
import { chargedOf, reservedOf, sum } from './state.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';
import type { World } from './world.fake.ts';

describe('the ladder', () => {
  const frozen = fakeUnit('a', { idleRung: 'frozen' });
  function freeze(world: World): void {
    idle(world, a);
    world.advance(60_000);
    done(world, 'frozen', a);
  }

  it('goes down after the idle time: to cold, or to frozen where the unit says so', () => {
    const world = fakeWorld([frozen, fakeUnit('b')], 20);
    idle(world, a, b);
    expect(told(world.advance(59_999 - 5_000))).toEqual([]);
    expect(told(world.advance(1))).toEqual([`freeze ${a}`, `stop ${b} idle`]);
  });

  it('stays as long as its last caller asked for, and as ever again in its next life', () => {
    const world = fakeWorld([fakeUnit('b')], 20);
    world.apply({ kind: 'keep', unit: b, idleMs: 90_000 });
    idle(world, b);
    expect(told(world.advance(89_999 - 5_000))).toEqual([]);
    expect(told(world.advance(1))).toEqual([`stop ${b} idle`]);
    done(world, 'stopped', b);
    idle(world, b);
    expect(told(world.advance(60_000))).toEqual([`stop ${b} idle`]);
  });

  it('stays for good where that was asked for, until it is told otherwise, and yet makes room', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    idle(world, b);
    world.apply({ kind: 'keep', unit: b, idleMs: Infinity });
    expect(told(world.advance(3_600_000))).toEqual([]);
    expect(told(world.apply({ kind: 'keep', unit: b, idleMs: null }))).toEqual([`stop ${b} idle`]);
    done(world, 'stopped', b);
    idle(world, b);
    world.apply({ kind: 'keep', unit: b, idleMs: Infinity });
    world.request(a);
    expect(phase(world, b)).toBe('stopping');
  });

  it('goes at once where no time was asked for', () => {
    const world = fakeWorld([fakeUnit('b')], 20);
    busy(world, b);
    world.apply({ kind: 'keep', unit: b, idleMs: 0 });
    expect(phase(world, b)).toBe('ready');
    expect(release(world, b)).toEqual([`stop ${b} idle`]);
  });

  it('thaws for a request', () => {
    const world = fakeWorld([frozen], 10);
    freeze(world);
    const waiter = world.request(a);
    expect(phase(world, a)).toBe('thawing');
    expect(done(world, 'thawed', a)).toEqual([`grant ${waiter}`]);
  });

  it('regression: what a freeze gave back is reserved no more, nor charged again by its stop', () => {
    const world = fakeWorld([frozen, fakeUnit('b')], 20);
    freeze(world);
    world.apply({ kind: 'measured', unit: a, bytes: 6 });
    idle(world, b);
    expect(sum(world.state, reservedOf)).toBe(16);
    world.apply({ kind: 'stop', unit: a, reason: { code: 'stopped-by-user' }, force: false });
    expect(phase(world, a)).toBe('stopping');
    expect([sum(world.state, reservedOf), sum(world.state, chargedOf)]).toEqual([16, 16]);
  });

  it('thaws for a request that came while it froze, once it is frozen', () => {
    const world = fakeWorld([frozen], 10);
    idle(world, a);
    world.advance(60_000);
    world.request(a);
    expect(phase(world, a)).toBe('freezing');
    expect(done(world, 'frozen', a)).toEqual([`thaw ${a}`]);
  });

  it.each([
    { kind: 'wake', unit: a },
    { kind: 'pin', unit: a, pinned: true },
  ] as const)('regression: thaws on $kind with nobody waiting', (event) => {
    const world = fakeWorld([frozen], 10);
    freeze(world);
    expect(told(world.apply(event))).toEqual([`thaw ${a}`]);
  });

  it('regression: thaws a core unit that was found frozen', () => {
    const world = fakeWorld([], 10);
    const core = fakeUnit('a', { tier: 'core', declaredBytes: 20 });
    world.apply({ kind: 'configure', units: [core] });
    expect(told(world.apply({ kind: 'recovered', unit: a, frozen: true }))).toEqual([`thaw ${a}`]);
  });

  it('regression: idles out when those left who waited while its lease ended', () => {
    const world = fakeWorld([fakeUnit('a', { slots: 1 }), fakeUnit('b')], 10);
    busy(world, a);
    world.request(b);
    world.advance(30_000);
    const late = world.request(a, { deadline: world.now + 1_000 });
    expect(outcome(world, late)).toBe('waiting');
    world.apply({ kind: 'limit', bytes: 10 });
    const [held] = world.leasesOf(a);
    world.apply({ kind: 'leave', waiter: world.waiting()[0] ?? late, unit: b, keep: false });
    expect(outcome(world, late)).toBe('waiting');
    if (held) world.apply({ kind: 'release', waiter: held, unit: a });
    world.apply({ kind: 'leave', waiter: late, unit: a, keep: false });
    expect(told(world.advance(60_000))).toEqual([`stop ${a} idle`]);
  });

  it('stops at once what has no idle time', () => {
    const world = fakeWorld([fakeUnit('a', { idleAfterMs: 0 })], 10);
    const waiter = world.request(a);
    done(world, 'started', a);
    expect(told(world.apply({ kind: 'release', waiter, unit: a }))).toEqual([`stop ${a} idle`]);
  });

  it('rests although one who waited for a slot left and will come back', () => {
    const world = fakeWorld([fakeUnit('a', { slots: 1 })], 10);
    busy(world, a);
    const [held] = world.leasesOf(a);
    const waiter = world.request(a);
    world.apply({ kind: 'leave', waiter, unit: a, keep: true });
    if (held) world.apply({ kind: 'release', waiter: held, unit: a });
    expect(told(world.advance(60_000))).toEqual([`stop ${a} idle`]);
  });

  it('keeps what is pinned ready, and lets it rest an idle time after it is unpinned', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    idle(world, a);
    world.apply({ kind: 'pin', unit: a, pinned: true });
    expect(told(world.advance(600_000))).toEqual([]);
    world.apply({ kind: 'pin', unit: a, pinned: false });
    expect(told(world.advance(60_000))).toEqual([`stop ${a} idle`]);
  });
});
