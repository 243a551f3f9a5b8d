import { describe, expect, it } from 'vitest';
import { idOf, parseUnits, specOf } from './units.ts';

const parse = (value: unknown) => parseUnits(JSON.stringify(value, null, 1), 'U.json');
const units = (...list: readonly object[]) => ({ limitBytes: 100, units: list });
const a = { id: 'a', bytes: 10, startMs: 500 };

describe('U.json', () => {
  it('has defaults for all but id, bytes and startMs', () => {
    expect(parse(units(a))).toEqual({
      limitBytes: 100,
      units: [
        {
          ...a,
          ...{ stopMs: 200, freezeMs: 20, thawMs: 50, frozenBytes: 10, priority: 50, tier: 'on-demand' },
          ...{ concurrency: 4, minReplicas: 1, maxReplicas: 1 },
        },
      ],
    });
  });

  it('keeps what is given', () => {
    const given = {
      ...{ ...a, stopMs: 1, freezeMs: 2, thawMs: 3, frozenBytes: 4, priority: 90, tier: 'core' },
      ...{ concurrency: 7, minReplicas: 2, maxReplicas: 3 },
    };
    expect(parse(units(given)).units).toEqual([given]);
  });

  it('takes the least number of replicas for the most, and all bytes for the frozen ones', () => {
    expect(parse(units({ ...a, bytes: 7, minReplicas: 3 })).units).toMatchObject([
      { minReplicas: 3, maxReplicas: 3, frozenBytes: 7 },
    ]);
  });

  it.each([
    [units({ ...a, startMS: 5 }), 'U.json:5: units[0]: startMS is no field. Did you mean startMs'],
    [units({ bytes: 1, startMs: 1 }), 'U.json: units[0]: id is missing.'],
    [units(a, { id: 'b', startMs: 1 }), 'U.json:10: units[1]: bytes is missing.'],
    [units({ ...a, bytes: -1 }), 'bytes must be at least 1, not -1.'],
    [units({ ...a, bytes: '10' }), 'bytes must be a number, not "10".'],
    [units({ ...a, stopMs: -5 }), 'stopMs must be at least 0, not -5.'],
    [units({ ...a, priority: 101 }), 'priority must be at most 100, not 101.'],
    [units({ ...a, concurrency: 1.5 }), 'concurrency must be a whole number, not 1.5.'],
    [units({ ...a, concurrency: 0 }), 'concurrency must be at least 1, not 0.'],
    [units({ ...a, tier: 'on-demnd' }), 'not "on-demnd". Did you mean on-demand?'],
    [units({ ...a, frozenBytes: 11 }), 'frozenBytes is 11, more than its bytes, 10.'],
    [units({ ...a, minReplicas: 3, maxReplicas: 2 }), 'maxReplicas is 2, less than minReplicas, 3.'],
    [units({ ...a, id: 'a~2' }), 'id "a~2": a ~ stands before the number of a copy.'],
    [units(a, a), 'id "a" is that of units[0] already.'],
    [units(a, { ...a, id: 'model/a' }), 'id "model/a" is that of units[0] already.'],
    [{ limit: 5, units: [] }, 'U.json: limit is no field. Did you mean limitBytes'],
    [{ units: [] }, 'U.json: limitBytes is missing.'],
    [{ limitBytes: 1, units: {} }, 'U.json: units must be a list of units.'],
    [units([] as unknown as object), 'U.json: units[0]: must be an object.'],
    [[], 'U.json: must be an object.'],
  ])('says what is wrong: %j', (value, message) => {
    expect(() => parse(value)).toThrow(message);
  });

  it('names no line rather than a wrong one', () => {
    expect(() => parse(units({ bytes: 1 }, { ...a, bytes: 0 }))).toThrow('U.json: units[0]: id is missing.');
    const nested = units({ ...a, extra: { id: 'b' } }, { id: 'b', bytes: 0, startMs: 1 });
    expect(() => parse(nested)).toThrow(/^U\.json:5: units\[0\]: extra is no field/);
  });

  it('says that it is no JSON', () => {
    expect(() => parseUnits('{"limitBytes": 5,\n "units": [}', 'U.json')).toThrow(/^U\.json: no JSON: Unexpected/);
  });
});

describe('a unit for the scheduler', () => {
  it('has what the file says of it', () => {
    const given = { ...a, priority: 90, tier: 'core', concurrency: 7, minReplicas: 2, maxReplicas: 3, stopMs: 1 };
    expect(parse(units({ ...given, freezeMs: 2, frozenBytes: 4, thawMs: 3 })).units.map(specOf)).toEqual([
      {
        ...{ id: 'model/a', tier: 'core', priority: 90, declaredBytes: 10, learnedBytes: null, slots: 7, startMs: 500 },
        ...{ idleAfterMs: Infinity, idleRung: 'cold', learnedAs: 'a', prewarm: true, replicas: { min: 2, max: 3 } },
        rungs: { freezable: true, frozenBytes: 4, freezeMs: 2, thawMs: 3, stopMs: 1 },
      },
    ]);
  });

  it('takes names of both kinds as they are, and any other for a model', () => {
    expect(['a', 'model/a', 'service/a', 'other/a', 'service/'].map(idOf)).toEqual([
      ...['model/a', 'model/a', 'service/a', 'model/other/a', 'model/service/'],
    ]);
  });

  it('is freezable when freezing gains something', () => {
    const [plain, slim] = parse(units(a, { ...a, id: 'b', frozenBytes: 9, thawMs: 7 })).units.map(specOf);
    expect(plain?.rungs.freezable).toBe(false);
    expect(slim?.rungs).toEqual({ freezable: true, frozenBytes: 9, freezeMs: 20, thawMs: 7, stopMs: 200 });
    expect(slim).toMatchObject({ id: 'model/b', declaredBytes: 10, startMs: 500, slots: 4, idleAfterMs: Infinity });
  });
});
