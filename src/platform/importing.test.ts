import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readFolders } from '#catalog/source';
import { buildCatalog } from '#catalog/snapshot';
import { fakeGguf, tinyLlama } from '#models/gguf.fake';
import { openBench } from '#models/pull.fake';
import type { Bench } from '#models/pull.fake';
import { importInto } from './importing.ts';
import type { ImportingDeps } from './importing.ts';

let bench: Bench;
let folder: string;
beforeEach(async () => {
  bench = await openBench();
  folder = await mkdtemp(join(tmpdir(), 'importing-'));
  await mkdir(join(folder, 'place'));
});
afterEach(async () => {
  await bench.close();
  await rm(folder, { recursive: true, force: true });
});

const place = (name = '') => join(folder, 'place', name);
const definitions = () => join(folder, 'catalog');
const definition = (name: string) => join(definitions(), 'models', `${name}.yaml`);
const model = (name: string) =>
  writeFile(
    place(`${name}.gguf`),
    fakeGguf({ ...tinyLlama, metadata: { ...tinyLlama.metadata, 'general.name': name } }),
  );
/** Imports the place with the catalogue as it is on the disk now. */
const run = async (given: Partial<ImportingDeps> = {}, signal = new AbortController().signal) => {
  const catalog = buildCatalog(await readFolders([{ path: definitions(), origin: 'user' }]));
  return importInto({ path: place() }, signal, () => undefined, {
    ...{ models: bench.store, catalog: { current: () => catalog }, definitions: definitions(), env: {} },
    checkFormat: async () => undefined,
    refresh: async () => undefined,
    ...given,
  });
};

describe('importing again', () => {
  it.each([
    ['has a mistake', 'id: tiny\nname: My own\ncontext: "much"\n'],
    ['cannot be parsed', 'id: tiny\nname: [My own\n'],
    ['has another id by now', 'id: mine\nname: My own\nsummary: X\ncontext: 256\nsize: 1\nsources: [{ file: /x }]\n'],
    ['is empty', ''],
  ])('regression: leaves a definition that %s to the user', async (_, text) => {
    await model('tiny');
    await run();
    expect(await readFile(definition('tiny'), 'utf8')).toContain('id: "tiny"');
    await writeFile(definition('tiny'), text);
    expect((await run()).imported).toMatchObject([{ id: 'tiny', how: 'known' }]);
    expect(await readFile(definition('tiny'), 'utf8')).toBe(text);
    expect(await readdir(join(definitions(), 'models'))).toEqual(['tiny.yaml']);
  });
});

describe('an import that ends early', () => {
  const named = async () => (await readdir(join(definitions(), 'models'))).sort();

  it('regression: leaves no model named without a definition when its client leaves', async () => {
    await Promise.all(['a', 'b', 'c'].map(model));
    const leave = new AbortController();
    const refreshed: unknown[] = [];
    const running = run(
      {
        checkFormat: async (_, name) => void (name === 'b.gguf' && leave.abort()),
        refresh: async (ids) => refreshed.push([ids, await named()]),
      },
      leave.signal,
    );
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(bench.store.list().map(({ name }) => `${name}.yaml`)).toEqual(await named());
    expect(bench.store.get('a')).not.toBeNull();
    expect(refreshed).toEqual([[bench.store.list().map(({ name }) => name), await named()]]);
  });

  it('regression: nor when the disk is full', async () => {
    await Promise.all(['a', 'b'].map(model));
    const full = async (_: string, name: string) => {
      if (name === 'b.gguf') throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    };
    const refreshed: unknown[] = [];
    const running = run({ checkFormat: full, refresh: async (ids) => refreshed.push(ids) });
    await expect(running).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(await named()).toEqual(['a.yaml']);
    expect(refreshed).toEqual([['a']]);
  });
});
