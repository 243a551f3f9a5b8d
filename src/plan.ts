import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildCatalog } from '#catalog/snapshot';
import { readFolders } from '#catalog/source';
import { loadConfig } from '#config/load';
import { formatProblem } from '#config/strict';
import type { ApiPlan } from '#contracts/explanations';
import type { StateStore } from '#contracts/state';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { readModels } from '#models/store';
import { createGpuReader } from '#runtime/gpu';
import { memoryLimit, readMachine } from '#runtime/machine';
import { cardsFrom } from './platform/cards.ts';
import { setDevices } from '#scheduler/devices';
import { createState, createUnit } from '#scheduler/state';
import type { Card } from '#units/placement';
import { createBindings } from '#units/bindings';
import { createDirectory } from '#units/directory';
import { openLearned } from '#units/learned';
import { createUnits } from '#units/units';
import type { Drivers } from './app.ts';
import { planNamed } from './platform/planning.ts';
import { cardReserve, schedulerSettings, settingsOf } from './platform/settings.ts';

export interface PlanRequest {
  /** Absolute. It need not exist. */
  readonly home: string;
  /** The folder of the built-in definitions. */
  readonly builtIn: string;
  readonly names: readonly string[];
  /** Another limit than the one that would hold; null for that. */
  readonly limitBytes: number | null;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly openState: Drivers['openState'];
}

/**
 * The plan of a platform that does not run: from the definitions, the configuration, the files of the models that are
 * here, and what earlier runs learned. Starts nothing and changes nothing; no home is made where there is none.
 */
export async function planOffline(request: PlanRequest): Promise<ApiPlan> {
  const { home, builtIn, names, limitBytes, env, clock } = request;
  const loaded = await loadConfig({ home, env });
  if (!loaded.ok) throw new Fault('BAD_REQUEST', loaded.problems.map(formatProblem).join('\n'));
  const config = loaded.value;
  const users = [join(home, 'catalog'), ...config.catalog.folders].map((path) => ({ path, origin: 'user' as const }));
  const catalog = buildCatalog(await readFolders([{ path: builtIn, origin: 'built-in' }, ...users]));
  const state = await openRemembered(join(home, 'state.db'), request.openState);
  try {
    const settings = () => settingsOf(config);
    const directory = createDirectory(() => catalog, settings);
    const models = await readModels(join(home, 'models'), silentLogger);
    const cards = await readCards(env, clock, cardReserve(config));
    const units = createUnits({
      cards: () => cards,
      ...{ catalog: () => catalog, settings, directory, clock, home, cores: 1, canFreeze: false, log: silentLogger },
      ...{ store: { get: (name) => models.get(name) ?? null }, learned: openLearned(state, silentLogger) },
      ...{ puller: nothingRuns, environments: nothingRuns, describe: () => undefined },
    });
    await Promise.all([...catalog.models.keys()].map((model) => units.plans.tryRefresh(model)));
    const limit = memoryLimit({
      ...(await readMachine()),
      configuredBytes: config.memory.limit,
      reserveBytes: config.memory.reserve,
    });
    const account = createState(schedulerSettings(config), limit.bytes);
    setDevices(account, cards);
    for (const spec of units.specs()) account.units.set(spec.id, createUnit(spec, account.units.size));
    const pins = state.table<true>('pins').list();
    for (const id of [...pins.map(({ key }) => key as UnitId), ...units.pinned()]) {
      const unit = account.units.get(id);
      if (unit) unit.pinned = true;
    }
    const canRun = (service: string) => units.unusable(service) === null;
    return planNamed(names, {
      ...{
        directory,
        bindings: createBindings({ catalog: () => catalog, settings, canRun }),
        units,
        state: account,
        now: clock.now(),
      },
      limit: limitBytes === null ? limit : { bytes: limitBytes, reason: 'asked for' },
    });
  } finally {
    await state.close();
  }
}

/** The graphics cards, where anybody knows of any: an offline plan does not fail for a driver that does. */
async function readCards(env: NodeJS.ProcessEnv, clock: Clock, reserveBytes: number): Promise<readonly Card[]> {
  const reader = createGpuReader({ clock, log: silentLogger, env });
  const snapshot = await reader.read(new AbortController().signal).catch(() => null);
  return snapshot ? cardsFrom(snapshot, () => 0, reserveBytes) : [];
}

/** Nothing is fetched, made or started for a plan. */
const refuse = () => Promise.reject(new Fault('NOT_SUPPORTED', 'The platform does not run.'));
const nothingRuns = { pull: refuse, ensure: refuse };

/** What earlier runs remember; nothing where none was. */
async function openRemembered(path: string, open: Drivers['openState']): Promise<StateStore> {
  if (existsSync(path)) return open(path);
  const table = { get: () => null, put: () => undefined, delete: () => undefined, list: () => [] };
  return { table: () => table, close: async () => undefined };
}
