import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { openCatalog } from '#catalog/source';
import type { CatalogSource } from '#catalog/source';
import type { RuntimeDriver } from '#contracts/runtime';
import type { StateStore } from '#contracts/state';
import type { Closers } from '#kernel/closers';
import type { UnitId } from '#kernel/ids';
import { checkFormat } from '#models/formats';
import { dropHalfWritten } from '#models/leftovers';
import { createPuller } from '#models/pull';
import type { FormatCheck, Puller } from '#models/pull';
import { openModelStore } from '#models/store';
import type { ModelStore } from '#models/store';
import { createViews } from '#models/views/views';
import type { Views } from '#models/views/views';
import { readMaybe, writeWhole } from '#runtime/home';
import type { Home } from '#runtime/home';
import { openEnvironments } from '#runtime/environments/environments';
import type { Environments } from '#runtime/environments/environments';
import { createLogs } from '#runtime/logs';
import type { Logs } from '#runtime/logs';
import { newSeed } from '#security/lasting';
import type { AppOptions } from '../app.ts';
import { openIdentity } from './identity.ts';
import { createRuntimes } from './runtimes.ts';
import type { PlatformIdentity } from './identity.ts';

/** What stands on disk or reaches the machine: opened first, closed last. */
export interface Stores {
  readonly state: StateStore;
  readonly identity: PlatformIdentity;
  /** Of which the lasting secrets of services are made. */
  readonly seed: string;
  readonly catalog: CatalogSource;
  readonly models: ModelStore;
  readonly puller: Puller;
  readonly modelViews: Views;
  /** Throws what is wrong with a file before it becomes a model. */
  readonly checkFormat: FormatCheck;
  readonly environments: Environments;
  readonly runtime: RuntimeDriver;
  readonly logs: Logs;
  /** Digests of the model files that engines have open, by unit: two may have the same. Written by the outcomes. */
  readonly usedFiles: Map<UnitId, string>;
}

/** Beside the owner's key, and made once: without it no service could open what it has sealed or get at its database. */
async function openSeed(home: Home): Promise<string> {
  const known = (await readMaybe(home.seedFile))?.trim();
  if (known) return known;
  const seed = newSeed();
  await writeWhole(home.seedFile, `${seed}\n`, 0o600);
  return seed;
}

export async function openStores(
  { home, config, clock, log, catalog: builtIn, drivers }: AppOptions,
  closers: Closers,
): Promise<Stores> {
  const { catalog: more, logs: bounds } = config.current();
  const state = await drivers.openState(home.stateFile);
  closers.add(() => state.close());
  const users = [home.catalog, ...more.folders].map((path) => ({ path, origin: 'user' as const }));
  // An import was killed while it defined a model: the definition is made when it is asked for again.
  await dropHalfWritten(join(home.catalog, 'models'), clock.wall(), log);
  const catalog = await openCatalog({
    folders: [{ path: builtIn, origin: 'built-in' }, ...users],
    clock,
    log,
  });
  closers.add(() => catalog.close());
  const owner = createHash('sha256').update(home.path).digest('hex').slice(0, 12);
  const containers = drivers.openContainers && (() => drivers.openContainers?.(owner) as Promise<RuntimeDriver>);
  const runtime = createRuntimes(await drivers.openRuntime(), containers, () => drivers.whyNoContainers?.() ?? null);
  closers.add(() => runtime.close());
  const usedFiles = new Map<UnitId, string>();
  const models = await openModelStore({
    dir: home.models,
    clock,
    log,
    inUse: (sha256) => [...usedFiles.values()].includes(sha256),
    keep: () => config.current().models.versions,
  });
  const checkFile: FormatCheck = (path, name) => checkFormat(path, name, config.current().models.allowPickle);
  return {
    state,
    seed: await openSeed(home),
    identity: await openIdentity({ state, home, config, clock, log }, closers),
    catalog,
    models,
    puller: createPuller({ store: models, clock, log, env: process.env, check: checkFile }),
    modelViews: createViews(models, log),
    checkFormat: checkFile,
    environments: await openEnvironments({ dir: home.environments, log, clock }),
    runtime,
    logs: createLogs({ clock, maxBytes: bounds.perInstance }),
    usedFiles,
  };
}
