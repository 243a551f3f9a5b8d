import { describe, expect, it } from 'vitest';
import type { UnitId } from '#kernel/ids';
import { a, b, c, done, idle, phase, release, stop, told } from './cases.fake.ts';
import { explain } from './explain.ts';
import { unitOf } from './state.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';
import type { World } from './world.fake.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Asked for and served at once, whatever it takes; a minute later it sleeps. */
function use(world: World, unit: UnitId, principal = 'ada'): void {
  world.request(unit, { principal });
  if (phase(world, unit) === 'starting') done(world, 'started', unit);
  release(world, unit);
}

/** Ada asks for b two seconds after a, half an hour apart, twice, which is a habit. */
function habit(world: World): void {
  for (let i = 0; i < 2; i++) {
    use(world, a);
    world.advance(2_000);
    use(world, b);
    sleep(world);
  }
}

/** Whatever rests for long enough goes cold. */
function sleep(world: World): void {
  for (const effect of world.advance(hourMs / 2)) if (effect.kind === 'stop') done(world, 'stopped', effect.unit);
}

const units = [fakeUnit('a'), fakeUnit('b'), fakeUnit('c')];

describe('what usually comes next', () => {
  it('starts as soon as what it follows is asked for, and is there when it is asked for', () => {
    const world = fakeWorld(units, 30);
    habit(world);
    world.request(a);
    // One at a time: what somebody waits for comes first.
    expect(phase(world, b)).toBe('cold');
    expect(done(world, 'started', a)).toContain(`start ${b}`);
    expect(explain(unitOf(world.state, b), world.state, world.now)).toMatch(/it usually comes next \(\d+ %\)$/);
    done(world, 'started', b);
    world.advance(2_000);
    const [waiter] = [world.request(b)];
    expect(world.callers.get(waiter)?.state).toBe('granted');
    expect(world.state.forecast.tally).toMatchObject({ hits: 1, misses: 0, byteMs: 20_000 });
  });

  it('starts from the fast path too', () => {
    const world = fakeWorld(units, 30);
    habit(world);
    idle(world, a);
    const waiter = world.request(a);
    expect([world.callers.get(waiter)?.state, phase(world, b)]).toEqual(['granted', 'starting']);
  });

  it('is a matter of who asks', () => {
    const world = fakeWorld(units, 30);
    habit(world);
    use(world, a, 'bob');
    expect(phase(world, b)).toBe('cold');
  });

  it('waits for free memory, and puts nothing to sleep', () => {
    const world = fakeWorld(units, 20);
    habit(world);
    idle(world, c);
    use(world, a);
    expect([phase(world, b), phase(world, c)]).toEqual(['cold', 'ready']);
    world.apply(stop(c));
    expect(done(world, 'stopped', c)).toEqual([`start ${b}`]);
  });

  it('is forgotten when its principal asks for something else', () => {
    const world = fakeWorld(units, 20);
    habit(world);
    idle(world, c);
    use(world, a);
    use(world, c);
    world.apply(stop(c));
    expect(done(world, 'stopped', c)).toEqual([]);
  });

  it('gives way to a request even while it starts, and is a miss then', () => {
    const world = fakeWorld(units, 20);
    habit(world);
    use(world, a);
    expect(phase(world, b)).toBe('starting');
    world.request(a);
    world.elapse(3_000);
    const waiter = world.request(c, { principal: 'bob' });
    expect(phase(world, b)).toBe('stopping');
    done(world, 'stopped', b);
    done(world, 'started', c);
    expect(world.callers.get(waiter)?.state).toBe('granted');
    expect(world.state.forecast.tally).toMatchObject({ hits: 0, misses: 1, byteMs: 30_000 });
  });

  it('gives way to a request that has aged', () => {
    const world = fakeWorld(units, 20);
    habit(world);
    use(world, a);
    world.request(a);
    expect(phase(world, b)).toBe('starting');
    const large = { ...fakeUnit('c'), declaredBytes: 20 };
    world.apply({ kind: 'describe', unit: large });
    world.request(c, { principal: 'bob' });
    world.advance(31_000);
    release(world, a);
    expect([phase(world, a), phase(world, b)]).toEqual(['stopping', 'stopping']);
  });

  it.each([
    ['prediction is off', { prediction: false }, {}],
    ['it needs others awake', {}, { prewarm: false }],
  ])('does not start while %s', (_why, settings, spec) => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b', spec)], 30, settings);
    habit(world);
    use(world, a);
    expect(phase(world, b)).toBe('cold');
  });

  it('is forgotten when prediction is switched off, and expected again afterwards', () => {
    const world = fakeWorld(units, 20);
    habit(world);
    idle(world, c);
    use(world, a);
    const { settings } = world.state;
    world.apply({ kind: 'settings', settings: { ...settings, prediction: false } });
    world.apply(stop(c));
    expect(done(world, 'stopped', c)).toEqual([]);
    world.apply({ kind: 'settings', settings });
    habit(world);
    use(world, a);
    expect(phase(world, b)).toBe('starting');
  });

  it('regression: is a hit also when prediction was switched off meanwhile', () => {
    const world = fakeWorld(units, 30);
    habit(world);
    use(world, a);
    expect(phase(world, b)).toBe('starting');
    world.apply({ kind: 'settings', settings: { ...world.state.settings, prediction: false } });
    world.request(b);
    done(world, 'started', b);
    expect([world.state.forecast.tally.hits, unitOf(world.state, b).guessed]).toEqual([1, null]);
  });

  it('does not start under pressure, nor after a start that failed', () => {
    const world = fakeWorld(units, 30);
    habit(world);
    world.apply({ kind: 'pressure', level: 'caches' });
    use(world, a);
    expect(phase(world, b)).toBe('cold');
    world.apply({ kind: 'pressure', level: 'none' });
    expect(phase(world, b)).toBe('starting');
    world.apply({ kind: 'failed', unit: b, message: 'no luck', permanent: false });
    expect(world.state.forecast.tally.misses).toBe(1);
    use(world, a);
    world.advance(5_000);
    expect(phase(world, b)).toBe('cold');
  });

  it('is thawed where it is frozen', () => {
    const frozen = fakeUnit('b', { idleRung: 'frozen' });
    const world = fakeWorld([fakeUnit('a'), frozen], 30);
    for (let i = 0; i < 2; i++) {
      use(world, a);
      world.advance(2_000);
      world.request(b);
      if (phase(world, b) === 'thawing') done(world, 'thawed', b);
      else done(world, 'started', b);
      release(world, b);
      for (const effect of world.advance(hourMs / 2)) {
        if (effect.kind === 'stop') done(world, 'stopped', effect.unit);
        if (effect.kind === 'freeze') done(world, 'frozen', effect.unit);
      }
    }
    use(world, a);
    expect(phase(world, b)).toBe('thawing');
  });

  it('regression: is no guess where somebody waits for it already', () => {
    const world = fakeWorld([fakeUnit('b', { idleRung: 'frozen' })], 30);
    idle(world, b);
    world.advance(60_000);
    done(world, 'frozen', b);
    const unit = unitOf(world.state, b);
    world.state.forecast.guesses.set(unit, { chance: 1, because: 'time', until: Infinity, asker: null });
    world.request(b);
    expect([phase(world, b), unit.reason, unit.guessed]).toEqual(['thawing', { code: 'asked', by: 'ada' }, null]);
  });

  it('is given up first when memory is short on the machine', () => {
    const world = fakeWorld(units, 30);
    habit(world);
    use(world, a);
    done(world, 'started', b);
    idle(world, c);
    expect(told(world.apply({ kind: 'pressure', level: 'caches' }))).toEqual([`stop ${b} pressure`]);
  });
});

describe('what it is usually time for', () => {
  /** At ten each day somebody asks for a. The first moment is a Thursday's midnight. */
  function days(world: World, count: number): void {
    world.apply({ kind: 'clock', localMs: world.now });
    for (let day = 0; day < count; day++) {
      world.advance(day * dayMs + 10 * hourMs + 5 * 60_000 - world.now);
      use(world, a, `person-${day}`);
      sleep(world);
    }
  }
  const at = (world: World, time: number) => world.advance(time - world.now);

  it('starts two minutes before its half hour, and stays for it', () => {
    const world = fakeWorld(units, 30);
    days(world, 3);
    expect(told(at(world, 3 * dayMs + 10 * hourMs - 2 * 60_000 - 1))).toEqual([]);
    expect(told(world.advance(1))).toEqual([`start ${a}`]);
    expect(explain(unitOf(world.state, a), world.state, world.now)).toContain('it usually is at this time');
    done(world, 'started', a);
    expect(told(at(world, 3 * dayMs + 10.5 * hourMs - 1))).toEqual([]);
    expect(told(world.advance(1))).toEqual([`stop ${a} idle`]);
    expect(world.state.forecast.tally).toMatchObject({ hits: 0, misses: 1 });
  });

  it('takes two days for chance', () => {
    const world = fakeWorld(units, 30);
    days(world, 2);
    expect(told(at(world, 2 * dayMs + 11 * hourMs))).toEqual([]);
  });

  it('follows the wall clock when it jumps', () => {
    const world = fakeWorld(units, 30);
    days(world, 3);
    world.apply({ kind: 'clock', localMs: world.now + hourMs });
    expect(told(at(world, 3 * dayMs + 9 * hourMs - 2 * 60_000))).toEqual([`start ${a}`]);
  });

  it('learns nothing while nobody says what time it is', () => {
    const world = fakeWorld(units, 30);
    days(world, 0);
    world.state.forecast.offsetMs = null;
    use(world, a);
    expect(world.state.forecast.profiles.size).toBe(0);
  });
});
