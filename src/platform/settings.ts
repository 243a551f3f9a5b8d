import type { Config } from '#config/static';
import type { Settings } from '#scheduler/types';
import type { UnitSettings } from '#units/settings';

const read = new WeakMap<Config, UnitSettings>();

/** The configuration as the units read it. Remembered: it is asked for with every request. */
export function settingsOf(config: Config): UnitSettings {
  const before = read.get(config);
  if (before) return before;
  const settings = settingsIn(config);
  read.set(config, settings);
  return settings;
}

function settingsIn({ services, models, bindings }: Config): UnitSettings {
  return {
    service: (id) => services[id] ?? {},
    model: (id) => models.settings[id] ?? {},
    bindings,
    defaultModel: models.default,
    named: (name) => (Object.hasOwn(models.names, name) ? models.names[name]?.first : undefined),
    ...(models.engine === undefined ? {} : { engine: models.engine }),
    ...(models.context === undefined ? {} : { context: models.context }),
    ...(models.slots === undefined ? {} : { slots: models.slots }),
    ...(models.threads === undefined ? {} : { threads: models.threads }),
    ...(models.gpu === undefined ? {} : { gpu: models.gpu }),
  };
}

/** Bytes that are left free on each graphics card. */
export const cardReserve = ({ memory }: Config): number => memory.gpuReserve ?? 512 * 2 ** 20;

export function schedulerSettings({ scheduler }: Config): Settings {
  return {
    minResidencyMs: scheduler.minResidency,
    horizonMs: scheduler.horizon,
    maxWaiters: scheduler.queue,
    ageingMs: scheduler.ageing,
    backoffFirstMs: scheduler.backoff.first,
    backoffMaxMs: scheduler.backoff.max,
    maxFailures: scheduler.backoff.attempts,
    quarantineMs: scheduler.quarantine,
    prediction: scheduler.prediction,
  };
}
