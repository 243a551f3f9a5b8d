import { join } from 'node:path';
import { buildCatalog } from '#catalog/snapshot';
import { readFolders } from '#catalog/source';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { createPuller } from '#models/pull';
import { openModelStore } from '#models/store';
import { openEnvironments } from '#runtime/environments/environments';

/** The embedded engine and the smallest model, fetched into `home` where they are not there yet. */
export async function prepared(home: string) {
  const signal = new AbortController().signal;
  const host = { clock: systemClock, log: silentLogger };
  const folder = join(import.meta.dirname, '../../catalog');
  const catalog = buildCatalog(await readFolders([{ path: folder, origin: 'built-in' }]));
  const engine = catalog.services.get('llama')?.definition.run.process;
  const model = catalog.models.get('smollm2:135m')?.definition;
  if (!engine || !model) throw new Error('The catalogue lacks the embedded engine or the smallest model.');
  const environments = await openEnvironments({ dir: join(home, 'env'), ...host });
  const environment = await environments.ensure(engine, { signal });
  const store = await openModelStore({ dir: join(home, 'models'), ...host });
  const { path } = await createPuller({ store, ...host, env: process.env }).pull(model.id, model.sources, { signal });
  return { environment, modelPath: path };
}
