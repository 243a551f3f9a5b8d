import type { Clock } from '#kernel/clock';
import type { Closers } from '#kernel/closers';
import { repeat } from '#kernel/repeat';
import { saveForecast } from '#scheduler/forecast-saved';
import type { SavedForecast } from '#scheduler/forecast-saved';
import { createScheduler } from '#scheduler/run-loop';
import type { Effects, Scheduler, SchedulerOptions } from '#scheduler/run-loop';
import { openSavings } from '#units/savings';
import type { Savings } from '#units/savings';
import type { AppOptions } from '../app.ts';
import type { CoreHooks } from './core.ts';
import { schedulerSettings } from './settings.ts';
import type { Stores } from './stores.ts';

/** The scheduler, and the books that are kept of what it does: both go on where an earlier run ended. */
export interface Account {
  readonly scheduler: Scheduler;
  readonly savings: Savings;
  /** Tells the scheduler what time it is. Habits are of the day as people live it. */
  readonly tellTime: () => void;
}

/** The one row of its table. */
const row = 'all';

/** Milliseconds of savings and habits that a platform that is killed may forget; so late does it see the wall clock jump. */
const saveEveryMs = 10 * 60_000;

export function openAccount(
  { config, clock, log }: AppOptions,
  { state }: Pick<Stores, 'state'>,
  limitBytes: number,
  hooks: CoreHooks,
  closers: Closers,
  effects: Effects,
): Account {
  const savings = openSavings({ state: () => scheduler.state, clock, table: state.table('savings') });
  const forecasts = state.table<SavedForecast>('forecast');
  const forecast = forecasts.get(row);
  const scheduler = createScheduler({
    ...{ limitBytes, clock, effects, settings: schedulerSettings(config.current()) },
    ...(forecast && { forecast }),
    ...followers(savings, hooks),
  });
  closers.add(() => scheduler.close());
  const tellTime = () => scheduler.dispatch({ kind: 'clock', localMs: localTime(clock) });
  const save = () => {
    savings.save();
    forecasts.put(row, saveForecast(scheduler.state.forecast));
  };
  const stop = repeat(
    clock,
    saveEveryMs,
    async () => {
      tellTime();
      save();
    },
    (error) => log.warn('what was learned could not be written', { error: String(error) }),
  );
  closers.add(() => {
    stop();
    save();
  });
  return { scheduler, savings, tellTime };
}

function localTime(clock: Clock): number {
  const wall = clock.wall();
  return wall - new Date(wall).getTimezoneOffset() * 60_000;
}

/** Those who are told what the scheduler takes and does. */
const followers = (
  savings: Savings,
  { reporter, onChange, onEvent }: CoreHooks,
): Pick<SchedulerOptions, 'onEffect' | 'onEvent' | 'onChange'> => ({
  onEffect(effect) {
    savings.effect(effect);
    reporter.effect(effect);
  },
  onEvent(event) {
    savings.event(event);
    reporter.event(event);
    onEvent(event);
  },
  onChange() {
    savings.settled();
    onChange();
  },
});
