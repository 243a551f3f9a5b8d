import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unitId } from '#kernel/ids';
import { a, b, busy, c, d, done, idle, phase, told } from './cases.fake.ts';
import { outlookOf } from './outlook.ts';
import { unitOf } from './state.ts';
import type { Effect } from './types.ts';
import { fakeUnit, fakeWorld } from './world.fake.ts';
import type { World } from './world.fake.ts';

const outlook = (world: World, unit = a) => outlookOf(unitOf(world.state, unit), world.state, world.now);

describe('outlookOf', () => {
  it('of what fits, or holds its memory already, is now', () => {
    const world = fakeWorld([fakeUnit('a')], 15);
    expect(outlook(world)).toMatchObject({ need: 10, free: 15, coming: 0, fits: 'now', wouldStop: [], blockedBy: [] });
    busy(world, a);
    expect(outlook(world)).toMatchObject({ need: 0, free: 5, fits: 'now' });
  });

  it('names what would have to make room, and what it costs, as the scheduler then does', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b', { startMs: 900 }), fakeUnit('c', { startMs: 100 })], 25);
    idle(world, b, c);
    const { wouldStop, fits, free } = outlook(world);
    expect([fits, free]).toEqual(['after-evictions', 5]);
    expect(wouldStop).toEqual([{ unit: c, act: 'stop', bytes: 10, costMs: expect.any(Number) as number }]);
    world.request(a);
    expect(unitOf(world.state, c).reason).toMatchObject({ code: 'evicted', for: a, costMs: wouldStop[0]?.costMs });
    expect(outlook(world)).toMatchObject({ need: 10, free: 5, coming: 10, fits: 'after-stops', wouldStop: [] });
    expect(outlook(world, c)).toMatchObject({ need: 10, free: 0, coming: 5, fits: 'after-evictions' });
  });

  it('says who cannot yield yet and why, and which of them it would wait for', () => {
    const units = [fakeUnit('a', { declaredBytes: 40 }), ...['b', 'c', 'd'].map((name) => fakeUnit(name))];
    const world = fakeWorld([...units, fakeUnit('e', { tier: 'core' })], 55);
    const e = unitId('model', 'e');
    done(world, 'started', e);
    busy(world, b);
    world.apply({ kind: 'wake', unit: c });
    done(world, 'started', c);
    world.advance(1_000);
    world.apply({ kind: 'wake', unit: d });
    const { fits, blockedBy, wouldStop } = outlook(world);
    expect(fits).toBe('when-idle');
    expect(blockedBy).toEqual([
      { unit: e, why: 'core', bytes: 10, forMs: null },
      { unit: b, why: 'busy', bytes: 10, forMs: null },
      { unit: c, why: 'just-started', bytes: 10, forMs: 4_000 },
      { unit: d, why: 'starting', bytes: 10, forMs: null },
    ]);
    expect(wouldStop.map(({ unit }) => unit).sort()).toEqual([b, c, d]);
  });

  it('says never when what is pinned or always on leaves too little, and who that is', () => {
    const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 15);
    world.apply({ kind: 'pin', unit: b, pinned: true });
    expect(outlook(world)).toMatchObject({
      fits: 'never',
      blockedBy: [{ unit: b, why: 'pinned', bytes: 10, forMs: null }],
    });
    const alone = fakeWorld([fakeUnit('a')], 5);
    expect(outlook(alone)).toMatchObject({ need: 10, free: 5, fits: 'never', blockedBy: [] });
  });

  it('leaves to who waited too long what it waits for', () => {
    const world = fakeWorld([fakeUnit('a', { declaredBytes: 5 }), fakeUnit('b'), fakeUnit('c')], 15);
    busy(world, c);
    world.request(b);
    expect(outlook(world)).toMatchObject({ free: 5, fits: 'now' });
    world.advance(30_000);
    const { fits, free, blockedBy } = outlook(world);
    expect([fits, free]).toEqual(['when-idle', 0]);
    expect(blockedBy[0]).toEqual({ unit: b, why: 'ahead', bytes: 10, forMs: null });
  });

  it('tells when nothing is started at all', () => {
    const world = fakeWorld([fakeUnit('a')], 10);
    world.apply({ kind: 'pressure', level: 'admission' });
    expect(outlook(world)).toMatchObject({ fits: 'now', paused: true });
  });
});

const names = ['a', 'b', 'c', 'd', 'e', 'f'];
const specs = fc.tuple(
  ...names.map((name) =>
    fc
      .record({
        declaredBytes: fc.integer({ min: 1, max: 20 }),
        startMs: fc.integer({ min: 1, max: 5_000 }),
        priority: fc.integer({ min: 0, max: 100 }),
        idleRung: fc.constantFrom('cold' as const, 'frozen' as const, 'auto' as const),
        freezable: fc.boolean(),
      })
      .map(({ freezable, ...given }) =>
        fakeUnit(name, {
          ...given,
          rungs: { freezable, frozenBytes: freezable ? 1 : null, freezeMs: null, thawMs: 5, stopMs: null },
        }),
      ),
  ),
);
const act = fc.tuple(fc.nat(7), fc.constantFrom(...names.map((name) => unitId('model', name))), fc.nat(20_000));

/** Something happens to the unit, if it can. */
function happens(world: World, [what, unit, ms]: readonly [number, typeof a, number]): void {
  const { kind } = unitOf(world.state, unit).phase;
  if (what === 0) world.request(unit);
  if (what === 1) for (const waiter of world.leasesOf(unit)) world.apply({ kind: 'release', waiter, unit });
  if (what === 2 && kind === 'stopping') done(world, 'stopped', unit);
  if (what >= 3 && what <= 5) {
    if (kind === 'starting') done(world, 'started', unit);
    if (kind === 'freezing') done(world, 'frozen', unit);
    if (kind === 'thawing') done(world, 'thawed', unit);
  }
  if (what === 6) world.advance(ms);
  if (what === 7) world.apply({ kind: 'pin', unit, pinned: ms % 8 === 0 });
}

/** What the scheduler does once the unit is asked for, in the words of the outlook. */
function answer(world: World, unit: typeof a): { fits: string; stops: string[] } {
  const before = world.history.length;
  world.request(unit, { class: 'batch' });
  const effects = JSON.parse(world.history[before]?.effects ?? '[]') as Effect[];
  const own = effects.filter((effect) => effect.unit === unit).map(({ kind }) => kind);
  // Who was to be awake anyway loses its place to the new waiter, and may have room made for it in turn.
  const forIt = (id: typeof a) => {
    const { reason } = unitOf(world.state, id);
    return reason.code === 'evicted' && reason.for === unit;
  };
  const stops = told(effects.filter((effect) => effect.unit !== unit && forIt(effect.unit))).map((line) =>
    line.replace(' evicted', ''),
  );
  if (own.includes('refuse')) return { fits: 'never', stops };
  if (own.includes('start') || own.includes('thaw')) return { fits: 'now', stops };
  return { fits: stops.length > 0 ? 'after-evictions' : 'waits', stops };
}

it('says beforehand what the scheduler does when the unit is asked for, and changes nothing', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(
      specs,
      fc.integer({ min: 15, max: 60 }),
      fc.array(act, { minLength: 30, maxLength: 60 }),
      (units, limit, acts) => {
        const world = fakeWorld(units, limit);
        for (const one of acts) happens(world, one);
        for (const { spec } of [...world.state.units.values()]) {
          const { id } = spec;
          const unit = unitOf(world.state, id);
          // What is asked for or wanted already was told its answer before.
          if (!['cold', 'frozen'].includes(phase(world, id)) || unit.booked.claim || unit.waiters.size > 0) continue;
          const snapshot = JSON.stringify([...world.state.units.values()].map(({ phase, booked }) => [phase, booked]));
          const { fits, wouldStop } = outlook(world, id);
          expect(JSON.stringify([...world.state.units.values()].map(({ phase, booked }) => [phase, booked]))).toBe(
            snapshot,
          );
          const found = answer(world, id);
          seen.add(fits);
          const waits = fits === 'after-stops' || fits === 'when-idle' ? 'waits' : fits;
          expect(found.fits).toBe(waits);
          if (fits === 'after-evictions') {
            expect(found.stops.sort()).toEqual(wouldStop.map(({ act, unit }) => `${act} ${unit}`).sort());
          }
        }
      },
    ),
    { numRuns: 300 },
  );
  expect([...seen].sort()).toEqual(['after-evictions', 'after-stops', 'never', 'now', 'when-idle']);
});
