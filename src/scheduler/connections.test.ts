import { describe, expect, it } from 'vitest';
import type { WaiterId } from '#kernel/ids';
import { a, b, busy, done, idle, outcome, phase, told } from './cases.fake.ts';
import { isEvictable } from './eviction.ts';
import { explain } from './explain.ts';
import { outlookOf } from './outlook.ts';
import { unitOf } from './state.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';
import type { World } from './world.fake.ts';

const rungs = { freezable: true, frozenBytes: 2, freezeMs: null, thawMs: 5, stopMs: null };
const talks = fakeUnit('a', { rungs });

/** Ready, with so many connections on which nothing is said. */
function silent(world: World, count = 1): readonly (() => void)[] {
  busy(world, a);
  const ends = Array.from({ length: count }, () => {
    const [waiter = world.request(a)] = world.leasesOf(a);
    world.apply({ kind: 'opened', waiter, unit: a });
    world.apply({ kind: 'release', waiter, unit: a });
    return () => void world.apply({ kind: 'closed', waiter, unit: a });
  });
  world.elapse(world.state.settings.minResidencyMs);
  return ends;
}
const why = (world: World) => explain(unitOf(world.state, a), world.state, world.now);

describe('a unit with silent connections', () => {
  it('is frozen for being idle where it would be stopped, and stopped once they have closed', () => {
    const world = fakeWorld([talks], 10);
    const [end] = silent(world);
    expect(why(world)).toBe('idle with 1 silent connection: freezes after 1 min without use');
    expect(told(world.advance(60_000))).toEqual([`freeze ${a}`]);
    done(world, 'frozen', a);
    expect(why(world)).toMatch(/^frozen: .*; 1 silent connection stays open; wakes on .* or its first byte$/);
    end?.();
    expect(phase(world, a)).toBe('stopping');
  });

  it('is frozen to make room, which is all that it can do', () => {
    const world = fakeWorld([talks, fakeUnit('b', { declaredBytes: 8 })], 10);
    const ends = silent(world, 2);
    world.request(b);
    expect(phase(world, a)).toBe('freezing');
    expect(done(world, 'frozen', a)).toEqual([`start ${b}`]);
    expect(phase(world, b)).toBe('starting');
    expect(why(world)).toContain('2 silent connections stay open');
    for (const end of ends) end();
    expect(phase(world, a)).toBe('frozen');
  });

  it('keeps what is frozen from being stopped: who needs those bytes waits until the last has closed', () => {
    const world = fakeWorld([talks, fakeUnit('b', { declaredBytes: 9 })], 10);
    const [end, last] = silent(world, 2);
    world.advance(60_000);
    done(world, 'frozen', a);
    const waiter = world.request(b);
    expect(outlookOf(unitOf(world.state, b), world.state, world.now)).toMatchObject({
      fits: 'when-idle',
      blockedBy: [{ unit: a, why: 'connected', bytes: 2 }],
    });
    world.advance(120_000);
    end?.();
    expect(phase(world, a)).toBe('frozen');
    last?.();
    expect(phase(world, a)).toBe('stopping');
    done(world, 'stopped', a);
    done(world, 'started', b);
    expect(outcome(world, waiter)).toBe('granted');
  });

  it('stays where it is when a freeze is not known to give anything back', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 10);
    silent(world);
    world.request(b);
    expect(phase(world, a)).toBe('ready');
    expect(isEvictable(unitOf(world.state, a), world.now)).toBe(false);
    expect(outlookOf(unitOf(world.state, b), world.state, world.now)).toMatchObject({
      blockedBy: [{ unit: a, why: 'connected' }],
    });
  });

  it.each(['caches', 'idle', 'admission'] as const)('gives way to pressure (%s) by freezing at the most', (level) => {
    const world = fakeWorld([talks], 10);
    silent(world);
    const ready = told(world.apply({ kind: 'pressure', level }));
    expect(ready).toEqual(level === 'caches' ? [] : [`freeze ${a}`]);
    world.advance(60_000);
    done(world, 'frozen', a);
    expect(told(world.apply({ kind: 'pressure', level }))).toEqual([]);
  });

  it('brings down what is over the limit by freezing it, whether or not that is enough', () => {
    const world = fakeWorld([talks], 10);
    silent(world);
    expect(told(world.apply({ kind: 'limit', bytes: 1 }))).toEqual([`freeze ${a}`]);
    done(world, 'frozen', a);
    expect(phase(world, a)).toBe('frozen');
  });

  it('thaws for their first byte as for any request', () => {
    const world = fakeWorld([talks], 10);
    silent(world);
    world.advance(60_000);
    done(world, 'frozen', a);
    const waiter = world.request(a);
    expect(phase(world, a)).toBe('thawing');
    done(world, 'thawed', a);
    expect(outcome(world, waiter)).toBe('granted');
  });

  it('is woken for them though its queue is full', () => {
    const world = fakeWorld([talks], 10, { maxWaiters: 1 });
    silent(world);
    world.advance(60_000);
    done(world, 'frozen', a);
    const waiter = { unit: a, class: 'default', principal: 'ada', deadline: Infinity } as const;
    world.request(a);
    expect(outcome(world, world.request(a))).toBe('QUEUE_FULL');
    world.apply({ kind: 'request', waiter: { ...waiter, id: 'w9' as WaiterId, goesOn: true } });
    done(world, 'thawed', a);
    expect(outcome(world, 'w9' as WaiterId)).toBe('granted');
  });

  it('is stopped by hand and by its definition going all the same, and forgets them with the instance', () => {
    const world = fakeWorld([talks, fakeUnit('b')], 20);
    silent(world);
    const stopped = world.apply({ kind: 'stop', unit: a, reason: { code: 'stopped-by-user' }, force: false });
    expect(told(stopped)).toEqual([`stop ${a} stopped-by-user`]);
    done(world, 'stopped', a);
    expect(world.openOf(a)).toEqual([]);
    silent(world);
    expect(told(world.apply({ kind: 'configure', units: [fakeUnit('b')] }))).toEqual([`stop ${a} removed`]);
  });

  it('is unmoved by what opens without a lease or closes twice', () => {
    const world = fakeWorld([talks], 10);
    idle(world, a);
    world.apply({ kind: 'opened', waiter: 'w9' as WaiterId, unit: a });
    world.apply({ kind: 'closed', waiter: 'w9' as WaiterId, unit: a });
    expect(told(world.advance(60_000))).toEqual([`stop ${a} idle`]);
  });
});
