import { describe, expect, it } from 'vitest';
import { replicaId } from '#kernel/ids';
import type { WaiterId } from '#kernel/ids';
import { a, b, busy, c, done, idle, outcome, phase, release, stop, told } from './cases.fake.ts';
import { unitOf } from './state.ts';
import type { UnitSpec } from './types.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';
import type { World } from './world.fake.ts';

const [two, three, four] = [replicaId(a, 2), replicaId(a, 3), replicaId(a, 4)];
/** One at a time, up to three of them, a second to start. */
const many = (given: Partial<UnitSpec> = {}) =>
  fakeUnit('a', { slots: 1, startMs: 1_000, replicas: { min: 1, max: 3 }, ...given });

/** Ready after as long as it is known to take, and past its residency. */
function up(world: World): void {
  world.apply({ kind: 'wake', unit: a });
  world.advance(unitOf(world.state, a).startMs ?? 0);
  world.apply({ kind: 'started', unit: a });
  world.advance(5_000);
}

/** Ready, asked for before, and so slow at it that a lease is known to last for ten seconds. */
function awake(world: World): void {
  up(world);
  const waiter = world.request(a);
  world.advance(10_000);
  world.apply({ kind: 'release', waiter, unit: a });
}
const requests = (world: World, count: number): WaiterId[] => Array.from({ length: count }, () => world.request(a));
const free = (world: World, waiter: WaiterId) =>
  told(world.apply({ kind: 'release', waiter, unit: world.callers.get(waiter)?.by ?? a }));
const phases = (world: World) => [a, two, three].map((unit) => phase(world, unit));

describe('another copy comes', () => {
  it('when what waits takes longer than its start', () => {
    const world = fakeWorld([many()], 100);
    awake(world);
    requests(world, 1);
    expect(phases(world)).toEqual(['ready', 'cold', 'cold']);
    // One who waits for ten seconds would wait for one.
    requests(world, 1);
    expect(phases(world)).toEqual(['ready', 'starting', 'cold']);
  });

  it('not for one who is served sooner than it could start', () => {
    const world = fakeWorld([many({ startMs: 30_000 })], 100);
    awake(world);
    requests(world, 2);
    expect(phases(world)).toEqual(['ready', 'cold', 'cold']);
    // With three of them the last one waits for longer than that.
    requests(world, 3);
    expect(phases(world)).toEqual(['ready', 'starting', 'cold']);
  });

  it('one at a time, and never more than there may be', () => {
    const world = fakeWorld([many()], 100);
    awake(world);
    requests(world, 20);
    expect(phases(world)).toEqual(['ready', 'starting', 'cold']);
    expect(done(world, 'started', two)).toContain(`start ${three}`);
    done(world, 'started', three);
    world.advance(60_000);
    expect(phases(world)).toEqual(['ready', 'ready', 'ready']);
    expect(world.state.units.has(four)).toBe(false);
    expect([world.leasesOf(a), world.leasesOf(two), world.leasesOf(three)].map((held) => held.length)).toEqual([
      1, 1, 1,
    ]);
  });

  it('when the present leases last for longer than its start, though nobody knew how long leases last', () => {
    const world = fakeWorld([many()], 100);
    up(world);
    requests(world, 3);
    expect(told(world.advance(499))).toEqual([]);
    // The two who wait will have waited for a second each way by now.
    expect(told(world.advance(1))).toEqual([`start ${two}`]);
  });

  it('regression: with fewer slots than leases, those leases are not counted among who waits', () => {
    const world = fakeWorld([many({ slots: 2 })], 100);
    up(world);
    requests(world, 2);
    world.apply({ kind: 'describe', unit: many() });
    requests(world, 1);
    expect(told(world.advance(999))).toEqual([]);
    expect(told(world.advance(1))).toEqual([`start ${two}`]);
  });

  it('when leases last for longer than they did', () => {
    const world = fakeWorld([many({ startMs: 15_000 })], 100);
    awake(world);
    requests(world, 2);
    expect(told(world.advance(14_000))).toEqual([]);
    expect(told(world.advance(1_000))).toEqual([`start ${two}`]);
  });

  it('when more is asked for than those there can do, before anybody waits', () => {
    const ask = (everyMs: number) => {
      const world = fakeWorld([many({ slots: 2, startMs: 60_000 })], 100);
      up(world);
      let held: WaiterId[] = [];
      for (let i = 0; i < 200; i++) {
        // Each is held for two seconds.
        held.push(world.request(a));
        world.advance(everyMs);
        const over = held.slice(0, Math.max(0, held.length - Math.floor(2_000 / everyMs) + 1));
        held = held.slice(over.length);
        for (const waiter of over) free(world, waiter);
        expect(world.waiting()).toEqual([]);
      }
      return phase(world, two);
    };
    // One of the two slots is busy on average, or nearly both.
    expect(ask(2_000)).toBe('cold');
    expect(ask(1_000)).toBe('starting');
  });

  it.each([
    [2, 'starting'],
    [3, 'cold'],
  ])('as long as there are cores for the threads of all: %i of 4 each, and it is %s', (threads, state) => {
    const world = fakeWorld([many({ threads, replicas: { min: 1, max: 2 } })], 100);
    world.apply({ kind: 'cores', cores: 4 });
    awake(world);
    requests(world, 40);
    expect([phase(world, a), phase(world, two)]).toEqual(['ready', state]);
    world.advance(10_000);
    expect(phase(world, two)).toBe(state);
  });

  it('at once with the first one, as many as there are to be at least', () => {
    const world = fakeWorld([many({ replicas: { min: 2, max: 3 } })], 100);
    const waiter = world.request(a);
    done(world, 'started', a);
    expect(phases(world)).toEqual(['ready', 'starting', 'cold']);
    done(world, 'started', two);
    free(world, waiter);
    // It stays for as long as the first one does.
    world.advance(59_000);
    free(world, world.request(a));
    world.advance(59_000);
    expect(phases(world)).toEqual(['ready', 'ready', 'cold']);
    world.advance(1_000);
    done(world, 'stopped', a);
    world.advance(60_000);
    expect(phases(world)[1]).toBe('stopping');
  });
});

describe('memory', () => {
  it('under pressure lets no copy come, until that is over', () => {
    const world = fakeWorld([many()], 100);
    awake(world);
    world.apply({ kind: 'pressure', level: 'caches' });
    requests(world, 9);
    world.advance(20_000);
    expect(phases(world)).toEqual(['ready', 'cold', 'cold']);
    expect(told(world.apply({ kind: 'pressure', level: 'none' }))).toEqual([`start ${two}`]);
  });

  it('regression: given up under pressure, a copy that is always to run does not come back while that lasts', () => {
    const world = fakeWorld([many({ replicas: { min: 2, max: 2 } })], 100);
    up(world);
    done(world, 'started', two);
    world.advance(10_000);
    world.request(a);
    expect(told(world.apply({ kind: 'pressure', level: 'idle' }))).toEqual([`stop ${two} pressure`]);
    done(world, 'stopped', two);
    world.request(a);
    world.advance(20_000);
    expect(phase(world, two)).toBe('cold');
    expect(told(world.apply({ kind: 'pressure', level: 'none' }))).toEqual([`start ${two}`]);
  });

  it('is taken from others only for what is worth more than their sleep', () => {
    const world = fakeWorld([many(), fakeUnit('b', { priority: 60, startMs: 20_000 })], 20);
    awake(world);
    idle(world, b);
    for (let i = 0; i < 5; i++) {
      world.apply({ kind: 'release', waiter: world.request(b), unit: b });
      world.advance(6_000);
    }
    requests(world, 2);
    expect([phase(world, two), phase(world, b)]).toEqual(['cold', 'ready']);
    requests(world, 30);
    expect(phase(world, b)).toBe('stopping');
    expect(done(world, 'stopped', b)).toContain(`start ${two}`);
  });

  it('that somebody waits for goes to them before any copy', () => {
    const world = fakeWorld([many(), fakeUnit('b', { declaredBytes: 15 })], 30);
    awake(world);
    world.request(b);
    requests(world, 20);
    expect([phase(world, b), phase(world, two)]).toEqual(['starting', 'cold']);
  });
});

/** `b` has waited past the bound, and what is busy stands in its way. */
function blockedBy(world: World): void {
  world.request(b);
  world.advance(30_000);
  expect(world.state.blocked?.claim.unit.spec.id).toBe(b);
}

describe('while somebody has waited past the bound for memory', () => {
  it('regression: copies that are held back come as soon as that one has its turn', () => {
    const world = fakeWorld(
      [many(), fakeUnit('b', { declaredBytes: 15 }), fakeUnit('c', { declaredBytes: 20, startMs: 100 })],
      40,
    );
    awake(world);
    busy(world, c);
    requests(world, 1);
    blockedBy(world);
    requests(world, 9);
    expect(phases(world)).toEqual(['ready', 'cold', 'cold']);
    expect(release(world, c)).toEqual([`stop ${c} evicted`]);
    expect(done(world, 'stopped', c)).toEqual([`start ${b}`, `start ${two}`]);
  });

  it('regression: another copy is asked for by the same event that puts one to sleep', () => {
    const world = fakeWorld([many(), fakeUnit('b', { declaredBytes: 15 })], 20);
    awake(world);
    // Those to come take nothing, so that there is room for them.
    world.apply({ kind: 'describe', unit: many({ declaredBytes: 0 }) });
    requests(world, 2);
    blockedBy(world);
    done(world, 'started', two);
    requests(world, 2);
    expect(phases(world)).toEqual(['ready', 'ready', 'cold']);
    expect(release(world, a)).toEqual([`stop ${a} evicted`, `start ${three}`]);
  });
});

describe('copies', () => {
  /** All three of them ready. */
  function grown(given: Partial<UnitSpec> = {}) {
    const world = fakeWorld([many(given)], 100);
    awake(world);
    const waiters = requests(world, 9);
    done(world, 'started', two);
    done(world, 'started', three);
    return { world, waiters };
  }

  it('serve whoever waits for the unit, whichever of them is free first', () => {
    const { world, waiters } = grown();
    const by = (n: number) => world.callers.get(waiters[n] as WaiterId)?.by;
    expect([by(0), by(1), by(2), by(3)]).toEqual([a, two, three, undefined]);
    expect(free(world, waiters[2] as WaiterId)).toEqual([`grant ${waiters[3]}`]);
    expect(free(world, waiters[1] as WaiterId)).toEqual([`grant ${waiters[4]}`]);
    expect([by(3), by(4)]).toEqual([three, two]);
  });

  it('go after a minute without work, while the first one stays for its own time', () => {
    const { world, waiters } = grown({ idleAfterMs: 600_000 });
    for (const waiter of waiters) free(world, waiter);
    // Whoever comes now is served by the first: the others have nothing to do.
    for (let i = 0; i < 5; i++) {
      const waiter = world.request(a);
      expect(world.callers.get(waiter)?.by).toBe(a);
      world.advance(10_000);
      free(world, waiter);
    }
    expect(phases(world)).toEqual(['ready', 'ready', 'ready']);
    world.advance(10_000);
    expect(phases(world)).toEqual(['ready', 'stopping', 'stopping']);
  });

  it('that cannot be started turn nobody away', () => {
    const world = fakeWorld([many({ replicas: { min: 1, max: 2 } })], 100);
    awake(world);
    const [first, second] = requests(world, 2) as [WaiterId, WaiterId];
    for (let i = 0; i < 3; i++) {
      world.apply({ kind: 'failed', unit: two, message: 'no luck', permanent: false });
      world.advance(10_000);
    }
    expect(phase(world, two)).toBe('quarantined');
    expect(outcome(world, second)).toBe('waiting');
    expect(free(world, first)).toEqual([`grant ${second}`]);
  });

  it('that end take along their own leases alone', () => {
    const { world, waiters } = grown();
    world.apply({ kind: 'exited', unit: two, message: 'gone' });
    expect(waiters.slice(0, 4).map((waiter) => outcome(world, waiter))).toEqual([
      'granted',
      'lost',
      'granted',
      'waiting',
    ]);
    expect(free(world, waiters[0] as WaiterId)).toEqual([`grant ${waiters[3]}`]);
  });

  it('go on while the first one is left alone for its failures; then those who come are turned away', () => {
    const { world, waiters } = grown({ replicas: { min: 1, max: 2 } });
    world.apply({ kind: 'exited', unit: a, message: 'gone' });
    world.apply({ kind: 'failed', unit: a, message: 'no luck', permanent: true });
    for (let i = 0; i < 3; i++) {
      world.advance(60_000);
      world.apply({ kind: 'failed', unit: a, message: 'no luck', permanent: true });
    }
    expect(phase(world, a)).toBe('quarantined');
    expect(outcome(world, waiters[8] as WaiterId)).toBe('waiting');
    expect(free(world, waiters[1] as WaiterId)).toEqual([`grant ${waiters[2]}`]);
    const late = world.request(a);
    expect(outcome(world, late)).toBe('waiting');
    world.apply({ kind: 'exited', unit: two, message: 'gone' });
    expect(outcome(world, world.request(a))).toBe('START_FAILED');
  });

  it('stop with the unit, and one alone when that one is named', () => {
    const { world, waiters } = grown();
    for (const waiter of waiters) free(world, waiter);
    expect(told(world.apply(stop(three)))).toEqual([`stop ${three} stopped-by-user`]);
    expect(told(world.apply(stop(a)))).toEqual([`stop ${a} stopped-by-user`, `stop ${two} stopped-by-user`]);
  });

  it('for which there is no place any more end when their work does, and are forgotten', () => {
    const { world, waiters } = grown();
    world.apply({ kind: 'describe', unit: many({ replicas: { min: 1, max: 2 } }) });
    expect(phases(world)).toEqual(['ready', 'ready', 'ready']);
    free(world, waiters[2] as WaiterId);
    expect(phases(world)).toEqual(['ready', 'ready', 'stopping']);
    done(world, 'stopped', three);
    expect(world.state.units.has(three)).toBe(false);
  });

  it('that an earlier process left are taken over, also without the first one', () => {
    const world = fakeWorld([], 100);
    world.apply({ kind: 'configure', units: [many()] });
    world.apply({ kind: 'recovered', unit: two, frozen: false });
    expect(world.callers.get(world.request(a))?.by).toBe(two);
    expect(unitOf(world.state, two).reason).toEqual({ code: 'recovered' });
  });
});

describe('requests that slow one another down', () => {
  /**
   * An instance does as much for each of its requests as if it had `workers` to share among them; each is work for a
   * second. So many ask at once, again and again.
   */
  function play(asking: number, workers: number, given: Partial<UnitSpec> = {}) {
    const world = fakeWorld([many({ slots: 16, startMs: 60_000, ...given })], 100);
    up(world);
    const work = new Map<WaiterId, number>();
    const tickMs = 100;
    let most = 0;
    const takers = (n: number) => {
      while (work.size < n) work.set(world.request(a), 1_000);
    };
    for (let i = 0; i < 2_000; i++) {
      // At first one at a time: that shows how fast it is.
      takers(i < 500 ? 1 : asking);
      most = i < 1_500 ? 0 : Math.max(most, ...leases(world));
      world.advance(tickMs);
      for (const unit of [a, two, three].filter((one) => phase(world, one) === 'starting'))
        done(world, 'started', unit);
      for (const unit of [a, two, three]) {
        const held = world.leasesOf(unit);
        for (const waiter of held) {
          const done = (work.get(waiter) ?? 0) - tickMs * Math.min(1, workers / held.length);
          work.set(waiter, done);
          if (done > 1e-6) continue;
          work.delete(waiter);
          free(world, waiter);
        }
      }
    }
    return { world, most };
  }
  const leases = (world: World): number[] => [a, two, three].map((unit) => world.leasesOf(unit).length);

  it('bring up another copy, and are spread over them, though there are slots enough', () => {
    const { world, most } = play(6, 1);
    expect(phases(world)).toEqual(['ready', 'ready', 'ready']);
    expect(most).toBe(2);
  });

  it('do not when they do not: then one has them all', () => {
    const { world, most } = play(6, Infinity);
    expect(phases(world)).toEqual(['ready', 'cold', 'cold']);
    expect(most).toBe(6);
  });

  it('are no more than an instance bears, where it has workers for some of them', () => {
    const { world } = play(4, 4);
    expect(phases(world)).toEqual(['ready', 'cold', 'cold']);
  });

  it('regression: long ones beside short ones are not taken for slowed down', () => {
    const world = fakeWorld([many({ slots: 16 })], 100);
    up(world);
    const ends: { readonly at: number; readonly waiter: WaiterId }[] = [];
    // One of ten takes thirty times as long: it is hardly ever alone.
    for (let i = 0; i < 1_000; i++) {
      const lasts = i % 10 === 0 ? 9_000 : 300;
      ends.push({ at: world.now + lasts, waiter: world.request(a) });
      // Seldom first, then so often that two or three are there at once.
      world.advance(i < 200 ? 5_000 : 500);
      for (const { waiter } of ends.filter(({ at }) => at <= world.now)) free(world, waiter);
      ends.splice(0, ends.length, ...ends.filter(({ at }) => at > world.now));
    }
    const { pace } = unitOf(world.state, a);
    expect(pace.calmHoldMs).toBeGreaterThan(0);
    expect(pace.bears).toBeGreaterThanOrEqual(8);
    expect(phase(world, two)).toBe('cold');
  });
});

it('regression: an idle copy makes room once nobody waits for its unit any more, also where another one serves the last', () => {
  const core = fakeUnit('a', { tier: 'core', slots: 1, declaredBytes: 1, replicas: { min: 2, max: 2 }, threads: 1 });
  const world = fakeWorld([core, fakeUnit('b', { declaredBytes: 5 })], 6);
  world.apply({ kind: 'cores', cores: 1 });
  for (const unit of [a, two]) world.apply({ kind: 'started', unit });
  world.request(a);
  // For want of a core the copy cannot take it.
  const second = world.request(a);
  const other = world.request(b, { class: 'batch' });
  world.advance(60_000);
  release(world, a);
  expect([outcome(world, second), outcome(world, other)]).toEqual(['granted', 'waiting']);
  expect(phase(world, two)).toBe('stopping');
  done(world, 'stopped', two);
  done(world, 'started', b);
  expect(outcome(world, other)).toBe('granted');
});
