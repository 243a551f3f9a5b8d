import { expect, it } from 'vitest';
import { a, b, done, phase, release } from './cases.fake.ts';
import { loadForecast, saveForecast } from './forecast-saved.ts';
import type { SavedForecast } from './forecast-saved.ts';
import { createState } from './state.ts';
import { step } from './step.ts';
import { fakeUnit, fakeWorld, roundSettings } from './world.fake.ts';

it('what was learned is the same after a restart', () => {
  const world = fakeWorld([fakeUnit('a'), fakeUnit('b')], 30);
  world.apply({ kind: 'clock', localMs: 0 });
  for (const unit of [a, b, a, b]) {
    world.request(unit);
    if (phase(world, unit) === 'starting') done(world, 'started', unit);
    release(world, unit);
    world.advance(1_000);
  }
  const saved = JSON.parse(JSON.stringify(saveForecast(world.state.forecast))) as SavedForecast;
  const forecast = loadForecast(saved);
  expect(saveForecast(forecast)).toEqual(saved);
  expect(Object.keys(saved.profiles)).toEqual([a, b]);
  const state = createState(roundSettings, 30, forecast);
  const units = [fakeUnit('a'), fakeUnit('b')];
  step(state, { kind: 'configure', units }, 0);
  const waiter = { id: 'w' as never, unit: a, class: 'default', principal: 'ada', deadline: Infinity } as const;
  step(state, { kind: 'request', waiter }, 0);
  expect(step(state, { kind: 'started', unit: a }, 0)).toContainEqual({ kind: 'start', unit: b, bytes: 10 });
});
