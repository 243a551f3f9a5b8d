/**
 * `store.fixture.ts DIR STEP WORK`: does one thing with the store at DIR/models, and is killed with SIGKILL before the
 * STEPth change of the disk that it makes, in the middle of it where that writes a file. Prints `done` where there were fewer.
 */
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { buildCatalog } from '#catalog/snapshot';
import { readFolders } from '#catalog/source';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { openModelStore } from '#models/store';
import { importInto } from '#platform/importing';

const [dir = '', killAt = '', work = ''] = process.argv.slice(2);

const store = await openModelStore({ dir: join(dir, 'models'), clock: systemClock, log: silentLogger });
const definitions = join(dir, 'catalog');
const catalog = buildCatalog(await readFolders([{ path: definitions, origin: 'user' }]));
const works: Readonly<Record<string, () => Promise<unknown>>> = {
  rollback: () => store.rollback('a'),
  collect: () => store.collect({ downloads: true }),
  remove: () => store.remove('a'),
  import: () =>
    importInto({ path: join(dir, 'place') }, new AbortController().signal, () => undefined, {
      ...{ models: store, catalog: { current: () => catalog }, definitions, env: {} },
      checkFormat: async () => undefined,
      refresh: async () => undefined,
    }),
};

let steps = 0;
const end = () => {
  process.kill(process.pid, 'SIGKILL');
  return new Promise<never>(() => undefined);
};

type Change = (...given: readonly unknown[]) => Promise<unknown>;
const disk = promises as unknown as Record<string, Change>;
const { writeFile, ...others } = promises;
for (const name of ['rename', 'link', 'rm', 'rmdir', 'unlink', 'mkdir', 'copyFile', 'utimes', 'chmod'] as const) {
  const change = others[name] as unknown as Change;
  disk[name] = (...given) => (++steps === Number(killAt) ? end() : change(...given));
}
disk.writeFile = async (path, content, ...more) => {
  if (++steps !== Number(killAt)) return (writeFile as unknown as Change)(path, content, ...more);
  await writeFile(path as string, (content as string).slice(0, (content as string).length / 2));
  return end();
};
// What was imported by name follows.
syncBuiltinESMExports();

await works[work]?.();
process.stdout.write(`done ${String(steps)}\n`);
