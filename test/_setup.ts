import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildCatalog } from '#catalog/snapshot';
import { readFolders } from '#catalog/source';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { createPuller } from '#models/pull';
import { openModelStore } from '#models/store';
import { openEnvironments } from '#runtime/environments/environments';
import { endLeftovers, notedHomes } from './_leftovers.ts';

/**
 * One home for all integration tests of a run, with the embedded engine and the smallest model in it: both come from the
 * registries as a user's would, once. The tests run one after the other and each starts its own platform on it.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const home = await mkdtemp(join(tmpdir(), 'sutaz-test-'));
  process.env.SUTAZ_TEST_HOME = home;
  const signal = new AbortController().signal;
  const host = { clock: systemClock, log: silentLogger };
  const catalog = buildCatalog(
    await readFolders([{ path: join(import.meta.dirname, '../catalog'), origin: 'built-in' }]),
  );
  const engine = catalog.services.get('llama')?.definition.run.process;
  const model = catalog.models.get('smollm2:135m')?.definition;
  if (!engine || !model) throw new Error('The catalogue lacks the embedded engine or the smallest model.');
  try {
    const environments = await openEnvironments({ dir: join(home, 'env'), ...host });
    process.env.SUTAZ_TEST_LLAMA_ENV = (await environments.ensure(engine, { signal }))?.path;
    const store = await openModelStore({ dir: join(home, 'models'), ...host });
    const pulled = await createPuller({ store, ...host, env: process.env }).pull(model.id, model.sources, { signal });
    process.env.SUTAZ_TEST_MODEL = pulled.path;
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
  return async () => {
    // A test that failed may have left a platform or its instances: they must not outlive the run.
    for (const one of await notedHomes(home)) await endLeftovers(one);
    await rm(home, { recursive: true, force: true });
  };
}
