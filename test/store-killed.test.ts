import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdir, mkdtemp, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { fakeGguf, tinyLlama } from '#models/gguf.fake';
import { digestOf } from '#models/server.fake';
import { dropHalfWritten } from '#models/leftovers';
import { openModelStore } from '#models/store';
import type { ModelStore } from '#models/store';
import { startPlatform } from './_platform.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'store-killed-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const weights = (name: string) => fakeGguf({ ...tinyLlama, metadata: { ...tinyLlama.metadata, 'general.name': name } });
/** As the platform does when it starts. */
async function open(): Promise<ModelStore> {
  await dropHalfWritten(join(dir, 'catalog/models'), systemClock.wall(), silentLogger);
  return openModelStore({ dir: join(dir, 'models'), clock: systemClock, log: silentLogger });
}

const place = (name: string) => join(dir, 'place', `${name}.gguf`);

async function put(store: ModelStore, name: string, content: Uint8Array): Promise<void> {
  const file = join(await store.partial(name), 'tmp-made');
  await writeFile(file, content);
  await store.add(name, file, { sha256: digestOf(content), bytes: content.length, source: 'a test' });
  await store.dropPartial(name);
}

/** A name with two versions, files that wait to be imported, and what garbage there may be. */
async function prepare(): Promise<void> {
  const store = await open();
  await put(store, 'a', weights('old'));
  await put(store, 'a', weights('new'));
  await mkdir(join(dir, 'place'));
  for (const name of ['b', 'c']) {
    await writeFile(place(name), weights(name));
    await utimes(place(name), 1_000_000, 1_000_000);
  }
  for (const name of ['nobody', 'nothing']) {
    await writeFile(join(dir, 'models/blobs', `sha256-${digestOf(Buffer.from(name))}`), name);
    await writeFile(join(await store.partial(name), 'x.part'), 'cut');
  }
}

/** In a process of its own. True where it came to its end before that step. */
async function killedAt(step: number, work: string): Promise<boolean> {
  const script = join(import.meta.dirname, 'store.fixture.ts');
  const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning', script];
  const child = spawn(process.execPath, [...flags, dir, String(step), work], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  expect([output.startsWith('done'), signal]).toEqual(output === '' ? [false, 'SIGKILL'] : [true, null]);
  return output !== '';
}

const below = async (folder: string) => (await readdir(join(dir, folder), { recursive: true }).catch(() => [])).sort();

/** After the next opening and a collection there is nothing but whole models, with all that belongs to each. */
async function onlyWhole(): Promise<ModelStore> {
  const store = await open();
  await store.collect({ downloads: true });
  const named = new Set<string>();
  for (const { name } of store.list()) {
    for (const { sha256, path, here } of await store.versions(name)) {
      expect(here).toBe(true);
      expect(digestOf(await readFile(path))).toBe(sha256);
      named.add(`sha256-${sha256}`);
    }
  }
  expect(await below('models/blobs')).toEqual([...named].sort());
  expect((await open()).list()).toEqual(store.list());
  expect(await below('models/partial')).toEqual([]);
  expect(await below('models/manifests')).toEqual(store.list().map(({ name }) => `${name}.json`));
  return store;
}

const present = (store: ModelStore) => store.get('a')?.sha256;
const old = digestOf(weights('old'));
const young = digestOf(weights('new'));

/** Each with what the store may be at any step, and what it is once the work was asked for again. */
const cases = {
  rollback: {
    holds: (store: ModelStore) => expect([old, young]).toContain(present(store)),
    async again(store: ModelStore) {
      if (present(store) !== old) await store.rollback('a');
      expect(present(store)).toBe(old);
      expect((await store.versions('a')).map(({ sha256 }) => sha256)).toEqual([young, old]);
    },
  },
  collect: {
    holds: (store: ModelStore) => expect(present(store)).toBe(young),
    again: async (store: ModelStore) => expect((await store.collect({ downloads: true })).removed).toEqual([]),
  },
  remove: {
    holds: (store: ModelStore) => expect([undefined, young]).toContain(present(store)),
    async again(store: ModelStore) {
      if (store.get('a')) await store.remove('a');
      expect(await below('models/blobs')).toEqual([]);
    },
  },
  import: {
    holds: (store: ModelStore) => expect(present(store)).toBe(young),
    async again() {
      expect(await killedAt(0, 'import')).toBe(true);
      expect((await open()).list().map(({ name }) => name)).toEqual(['a', 'b', 'c']);
      expect(await below('catalog/models')).toEqual(['b.yaml', 'c.yaml']);
    },
  },
};

describe.each(Object.entries(cases))('killed with SIGKILL, a %s', (work, { holds, again }) => {
  it('leaves nothing half at whichever step, and can be asked for again', async () => {
    for (let step = 1, done = false; !done; step++) {
      await rm(dir, { recursive: true, force: true });
      await mkdir(dir);
      await prepare();
      const originals = await Promise.all(['b', 'c'].map((name) => lstat(place(name))));
      done = await killedAt(step, work);
      expect(done && step === 1, 'it changes something').toBe(false);
      const store = await onlyWhole();
      holds(store);
      await again(store);
      await onlyWhole();
      // Only the count of links tells that they were imported.
      for (const [index, name] of ['b', 'c'].entries()) {
        const { ino, mode, mtimeMs, size } = await lstat(place(name));
        expect(originals[index]).toMatchObject({ ino, mode, mtimeMs, size });
      }
    }
    // Two processes a step, and some twenty steps in an import.
  }, 300_000);
});

it('regression: a definition that an import was killed in the middle of writing lay in the catalogue for ever', async () => {
  const catalog = { 'models/b.yaml.77.tmp': 'id: "b', 'models/mine.tmp': 'of the user' };
  const platform = await startPlatform({ home: dir, catalog });
  try {
    expect(await below('catalog/models')).toEqual(['mine.tmp']);
  } finally {
    await platform.stop();
  }
});
