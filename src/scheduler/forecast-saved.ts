import type { UnitId } from '#kernel/ids';
import { createForecast } from './forecast.ts';
import type { Forecast } from './forecast.ts';
import { createAsker } from './follows.ts';
import type { Asker } from './follows.ts';
import { loadProfile, saveProfile } from './profile.ts';
import type { SavedProfile } from './profile.ts';

/** What is kept of a forecast over restarts: all that it learned, nothing of what it expects now. Plain JSON. */
export type SavedForecast = {
  readonly seen: SavedProfile;
  readonly profiles: Readonly<Record<string, SavedProfile>>;
  /** By principal, then by what came first. */
  readonly follows: Readonly<Record<string, Readonly<Record<string, SavedSuccessors>>>>;
};

type SavedSuccessors = { readonly total: number; readonly weights: Readonly<Record<string, number>> };

export const saveForecast = ({ seen, profiles, follows }: Forecast): SavedForecast => ({
  seen: saveProfile(seen),
  profiles: Object.fromEntries([...profiles].map(([id, profile]) => [id, saveProfile(profile)])),
  follows: Object.fromEntries([...follows.askers].map(([principal, asker]) => [principal, saveAsker(asker)])),
});

const saveAsker = ({ after }: Asker): Record<string, SavedSuccessors> =>
  Object.fromEntries(
    [...after].map(([id, { total, weights }]) => [id, { total: rounded(total), weights: saveWeights(weights) }]),
  );

const saveWeights = (weights: ReadonlyMap<UnitId, number>): Record<string, number> =>
  Object.fromEntries([...weights].map(([id, weight]) => [id, rounded(weight)]));

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000;

export function loadForecast({ seen, profiles, follows }: SavedForecast): Forecast {
  const forecast = createForecast(loadProfile(seen));
  for (const [id, profile] of Object.entries(profiles)) forecast.profiles.set(id as UnitId, loadProfile(profile));
  for (const [principal, contexts] of Object.entries(follows)) {
    const asker = createAsker();
    for (const [id, { total, weights }] of Object.entries(contexts)) {
      asker.after.set(id as UnitId, { total, weights: new Map(Object.entries(weights) as [UnitId, number][]) });
    }
    forecast.follows.askers.set(principal, asker);
  }
  return forecast;
}
