import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endLeftovers, notedHomes } from './_leftovers.ts';
import { prepared } from './_prepared.ts';

/**
 * One home for all integration tests of a run, with the embedded engine and the smallest model in it: both come from the
 * registries as a user's would, once. The tests run one after the other and each starts its own platform on it.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const home = await mkdtemp(join(tmpdir(), 'sutaz-test-'));
  process.env.SUTAZ_TEST_HOME = home;
  try {
    const { environment, modelPath } = await prepared(home);
    process.env.SUTAZ_TEST_LLAMA_ENV = environment?.path;
    process.env.SUTAZ_TEST_MODEL = modelPath;
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
