import { describe, expect, it } from 'vitest';
import { defaultSettings } from '#scheduler/types';
import { parseSettings } from './settings.ts';

describe('settings on the command line', () => {
  it('change what they name', () => {
    expect(parseSettings(['ageingMs=5,horizonMs=7', 'minResidencyMs=0'])).toEqual({
      ...defaultSettings,
      ...{ maxWaiters: 100_000, ageingMs: 5, horizonMs: 7, minResidencyMs: 0 },
    });
    expect(parseSettings(['prediction=false']).prediction).toBe(false);
    expect(parseSettings([])).toEqual({ ...defaultSettings, maxWaiters: 100_000 });
  });

  it.each([
    ['agingMs=5', 'agingMs is no setting. Did you mean ageingMs'],
    ['xyzzy=5', 'xyzzy is no setting. Known: '],
    ['ageingMs=-5', 'ageingMs must be a number of at least 0, as in ageingMs=1000, not "-5".'],
    ['ageingMs', 'not "".'],
    ['ageingMs=fast', 'not "fast".'],
    ['prediction=0', 'prediction must be true or false, not "0".'],
    ['ageingMs=5=6', 'not "5=6".'],
    ['ageingMs=Infinity', 'not "Infinity".'],
  ])('are refused when wrong: %s', (word, message) => {
    expect(() => parseSettings([word])).toThrow(message);
  });
});
