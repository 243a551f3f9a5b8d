import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { setDevices } from '#scheduler/devices';
import { createState, createUnit } from '#scheduler/state';
import { defaultSettings, oneReplica, plainRungs } from '#scheduler/types';
import type { UnitSpec } from '#scheduler/types';
import { planTogether } from './together.ts';

const id = (name: string) => unitId('service', name);
const spec = (name: string, declaredBytes: number, more: Partial<UnitSpec> = {}): UnitSpec => ({
  ...{
    id: id(name),
    declaredBytes,
    tier: 'on-demand',
    priority: 50,
    learnedBytes: null,
    slots: 1,
    idleAfterMs: 60_000,
  },
  ...{ idleRung: 'cold', startMs: 100, rungs: plainRungs, learnedAs: '', prewarm: true, replicas: oneReplica, ...more },
});

interface Given {
  readonly limit: number;
  readonly specs: readonly UnitSpec[];
  readonly pinned?: readonly string[];
  readonly needs?: Readonly<Record<string, readonly string[]>>;
  /** What there is on a graphics card. */
  readonly card?: number;
}

function plan({ limit, specs, pinned = [], needs = {}, card }: Given, ...asked: readonly string[]) {
  const state = createState(defaultSettings, limit);
  if (card !== undefined) setDevices(state, [{ id: 'gpu0', limitBytes: card }]);
  for (const one of specs) state.units.set(one.id, createUnit(one, state.units.size));
  for (const name of pinned) Object.assign(state.units.get(id(name)) ?? {}, { pinned: true });
  return planTogether({
    ...{ state, now: 0, limitBytes: limit, limitReason: 'asked for', asked: asked.map(id) },
    isGuess: (unit: UnitId) => unit === id('guess'),
    needs: (unit: UnitId) => (needs[unit.slice('service/'.length)] ?? []).map(id),
  });
}

const sleeping = ({ units }: ReturnType<typeof plan>) => units.filter(({ sleeps }) => sleeps).map((one) => one.id);

describe('planTogether', () => {
  it('adds up the larger of declared and learned, each once, with what they need', () => {
    const specs = [
      spec('a', 10, { learnedBytes: 15 }),
      spec('b', 10, { learnedBytes: 5 }),
      spec('db', 20),
      spec('x', 99),
    ];
    const needs = { a: ['db'], b: ['db'] };
    const told = plan({ limit: 45, specs, needs }, 'a', 'b', 'a');
    expect(told).toMatchObject({ verdict: 'together', totalBytes: 45, alwaysBytes: 0, spareBytes: 0, elsewhere: [] });
    expect(told.units.map(({ id, bytes, neededBy }) => [id, bytes.reserved, bytes.withNeeds, neededBy])).toEqual([
      [id('a'), 15, 35, []],
      [id('db'), 20, 20, [id('a'), id('b')]],
      [id('b'), 10, 30, []],
    ]);
  });

  it('says whose size is only a guess so far', () => {
    const specs = [spec('guess', 1), spec('a', 1)];
    expect(plan({ limit: 5, specs }, 'guess', 'a').units.map(({ estimated }) => estimated)).toEqual([true, false]);
    const learned = [spec('guess', 1, { learnedBytes: 2 })];
    expect(plan({ limit: 5, specs: learned }, 'guess').units[0]?.estimated).toBe(false);
  });

  it('says who would sleep while the others work: whose coming back costs the least', () => {
    const specs = [spec('dear', 20, { startMs: 9_000 }), spec('cheap', 20), spec('loved', 20, { priority: 100 })];
    const told = plan({ limit: 45, specs }, 'dear', 'cheap', 'loved');
    expect(told).toMatchObject({ verdict: 'in-turns', spareBytes: -15 });
    expect(sleeping(told)).toEqual([id('cheap')]);
  });

  it('lets what others stand on sleep last, and then them with it', () => {
    const specs = [spec('a', 1), spec('db', 30), spec('c', 20)];
    expect(sleeping(plan({ limit: 40, specs, needs: { a: ['db'] } }, 'a', 'c'))).toEqual([id('c')]);
    const deep = [spec('a', 1), spec('b', 1), spec('db', 30), spec('c', 31, { priority: 100 })];
    const told = plan({ limit: 33, specs: deep, pinned: [], needs: { a: ['b'], b: ['db'] } }, 'a', 'c');
    expect(told.verdict).toBe('in-turns');
    expect(sleeping(told)).toEqual([id('c')]);
  });

  it('counts what is core or pinned as held, whether it is asked for or not', () => {
    const specs = [spec('a', 20), spec('p', 20), spec('q', 20, { tier: 'core' })];
    const beside = plan({ limit: 60, specs, pinned: ['p'] }, 'a');
    expect(beside).toMatchObject({ verdict: 'together', alwaysBytes: 40, spareBytes: 0 });
    expect(beside.always.map(({ why }) => why)).toEqual(['pinned', 'core']);
    const among = plan({ limit: 39, specs: specs.slice(0, 2), pinned: ['p'] }, 'a', 'p');
    expect(among).toMatchObject({ verdict: 'never', alwaysBytes: 0 });
    expect(among.units.map(({ stays, fits }) => [stays, fits])).toEqual([
      [null, false],
      ['pinned', true],
    ]);
  });

  it('has a sum for each graphics card, and lets those sleep that are in the way there', () => {
    const on = (bytes: number) => ({ vram: { device: 'gpu0', bytes } });
    const specs = [spec('a', 1, on(6)), spec('b', 1, on(3)), spec('c', 1)];
    const given = { limit: 100, specs, card: 8 };
    expect(plan(given, 'a', 'c')).toMatchObject({ verdict: 'together', devices: [{ id: 'gpu0', spareBytes: 2 }] });
    const told = plan(given, 'a', 'b', 'c');
    expect(told).toMatchObject({ verdict: 'in-turns', devices: [{ totalBytes: 9, limitBytes: 8, spareBytes: -1 }] });
    expect(sleeping(told)).toHaveLength(1);
    expect(sleeping(told)).not.toContain(id('c'));
    expect(plan({ ...given, card: 5 }, 'a', 'b').units.map(({ fits }) => fits)).toEqual([false, true]);
  });

  it('says never of one that with its needs is too large, even when it alone is not', () => {
    const specs = [spec('a', 20), spec('db', 20), spec('c', 5)];
    const told = plan({ limit: 30, specs, needs: { a: ['db'] } }, 'a', 'c');
    expect(told.verdict).toBe('never');
    expect(told.units.map(({ id, fits }) => [id, fits])).toEqual([
      [id('a'), false],
      [id('db'), true],
      [id('c'), true],
    ]);
    expect(sleeping(told)).toEqual([]);
  });

  it('takes nothing for what runs elsewhere, and ends where two need each other', () => {
    const told = plan({ limit: 20, specs: [spec('a', 10), spec('b', 10)], needs: { a: ['b', 'far'], b: ['a'] } }, 'a');
    expect(told).toMatchObject({ verdict: 'together', totalBytes: 20, elsewhere: [id('far')] });
  });

  it('lets so many sleep that the rest fits, and nobody when all fit', () => {
    const size = fc.integer({ min: 1, max: 30 });
    fc.assert(
      fc.property(fc.array(size, { minLength: 1, maxLength: 9 }), fc.integer({ min: 1, max: 120 }), (sizes, limit) => {
        const names = sizes.map((_, i) => `u${i}`);
        const told = plan({ limit, specs: sizes.map((bytes, i) => spec(`u${i}`, bytes)) }, ...names);
        const awake = told.units.filter(({ sleeps }) => !sleeps).reduce((sum, { bytes }) => sum + bytes.reserved, 0);
        const verdict = told.totalBytes <= limit ? 'together' : Math.max(...sizes) <= limit ? 'in-turns' : 'never';
        expect(told.verdict).toBe(verdict);
        expect(sleeping(told).length > 0).toBe(verdict === 'in-turns');
        if (verdict === 'in-turns') expect(awake).toBeLessThanOrEqual(limit);
      }),
    );
  });
});
