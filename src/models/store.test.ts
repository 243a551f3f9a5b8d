import { mkdir, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import { fileNameOf, nameOf } from './names.ts';
import { openBench } from './pull.fake.ts';
import type { Bench } from './pull.fake.ts';
import { digestOf } from './server.fake.ts';
import { openModelStore, readModels } from './store.ts';

const inUse = new Set<string>();
let bench: Bench;
beforeEach(async () => {
  inUse.clear();
  bench = await openBench({ inUse: (sha256) => inUse.has(sha256) });
});
afterEach(() => bench.close());

const put = async (name: string, content: string) => {
  const file = join(await bench.store.partial(name), 'tmp-made');
  await writeFile(file, content);
  const sha256 = digestOf(Buffer.from(content));
  return bench.store.add(name, file, { sha256, bytes: content.length, source: 'a test' });
};
const reopen = (wall = Date.now() + 1000) =>
  openModelStore({
    dir: bench.dir,
    clock: fakeClock(0, wall),
    log: silentLogger,
    inUse: (sha256) => inUse.has(sha256),
  });
const blobs = () => readdir(join(bench.dir, 'blobs'));

describe('the model store', () => {
  it('keeps a model under its digest, and its name over a restart', async () => {
    const model = await put('smollm2:135m', 'weights');
    expect(model.path).toBe(join(bench.dir, 'blobs', `sha256-${digestOf(Buffer.from('weights'))}`));
    expect(await readFile(model.path, 'utf8')).toBe('weights');
    expect((await reopen()).get('smollm2:135m')).toEqual(model);
    expect(bench.store.list()).toEqual([model]);
  });

  it('is read by others without being opened, and is empty where there is none', async () => {
    expect(await readModels(join(bench.dir, 'nowhere'), silentLogger)).toEqual(new Map());
    const model = await put('a', 'weights');
    expect([...(await readModels(bench.dir, silentLogger))]).toEqual([['a', model]]);
  });

  it('keeps one file for two names and deletes it with the last', async () => {
    await put('a', 'weights');
    await put('b', 'weights');
    expect(await blobs()).toHaveLength(1);
    expect(await bench.store.remove('a')).toEqual({ freed: 0 });
    expect(await blobs()).toHaveLength(1);
    expect(await bench.store.remove('b')).toEqual({ freed: 7 });
    expect(await blobs()).toEqual([]);
    expect((await reopen()).list()).toEqual([]);
  });

  it('deletes the old file when a name gets another one', async () => {
    await put('a', 'old');
    await put('a', 'new');
    expect(await blobs()).toEqual([`sha256-${digestOf(Buffer.from('new'))}`]);
  });

  it('refuses to remove what is in use, unless another name keeps the file', async () => {
    const { sha256 } = await put('a', 'weights');
    inUse.add(sha256);
    await expect(bench.store.remove('a')).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(bench.store.get('a')).not.toBeNull();
    await put('b', 'weights');
    expect(await bench.store.remove('a')).toEqual({ freed: 0 });
  });

  it('names the nearest models when one is unknown', async () => {
    await put('smollm2:135m', 'weights');
    await expect(bench.store.remove('smollm:135m')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('Did you mean smollm2:135m?') as string,
    });
  });

  it('leaves out what is damaged or gone, and keeps the rest and their files', async () => {
    await put('whole', 'whole');
    const damaged = await put('damaged', 'damaged');
    const gone = await put('gone', 'gone');
    await writeFile(join(bench.dir, 'manifests', 'damaged.json'), '{"sha256": ');
    await rm(gone.path);
    await utimes(damaged.path, 0, 0);
    const reopened = await reopen();
    expect(reopened.list().map(({ name }) => name)).toEqual(['whole']);
    expect(await stat(damaged.path)).toBeDefined();
  });

  it('clears half-made files, keeps downloads for a week and blobs of nobody too', async () => {
    const partial = await bench.store.partial('m');
    const now = Date.now();
    const day = 86_400_000;
    const made = async (path: string, age: number) => {
      await writeFile(path, 'x');
      await utimes(path, (now - age) / 1000, (now - age) / 1000);
    };
    await made(join(partial, 'fresh.part'), 6 * day);
    await made(join(partial, 'stale.part'), 8 * day);
    await made(join(partial, 'tmp-joined'), day);
    await mkdir(join(await bench.store.partial('other'), 'tmp-pip', 'tmp'), { recursive: true });
    await made(join(bench.dir, 'manifests', 'm.json.77.tmp'), day);
    await made(join(bench.dir, 'blobs', `sha256-${'a'.repeat(64)}`), 6 * day);
    await made(join(bench.dir, 'blobs', `sha256-${'b'.repeat(64)}`), 8 * day);
    await reopen(now + 1000);
    expect(await bench.leftovers()).toEqual(['m', 'm/fresh.part']);
    expect(await readdir(join(bench.dir, 'manifests'))).toEqual([]);
    expect(await blobs()).toEqual([`sha256-${'a'.repeat(64)}`]);
  });

  it('never loses a file that some name has, whatever is added and removed at once', async () => {
    const name = fc.constantFrom('a', 'b', 'c');
    const action = fc.record({ name, content: fc.constantFrom('x', 'y', null) });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 12 }), async (actions) => {
        await Promise.all(
          actions.map(({ name: which, content }, index) =>
            content === null ? bench.store.remove(which).catch(() => undefined) : add(which, content, index),
          ),
        );
        const wanted = new Set(bench.store.list().map(({ sha256 }) => `sha256-${sha256}`));
        expect(new Set(await blobs())).toEqual(wanted);
      }),
      { numRuns: 25 },
    );
    async function add(which: string, content: string, index: number) {
      const file = join(await bench.store.partial(which), `tmp-${index}`);
      await writeFile(file, content);
      await bench.store.add(which, file, { sha256: digestOf(Buffer.from(content)), bytes: 1, source: 'a test' });
    }
  });
});

describe('names as file names', () => {
  it('come back as they were, and are safe on every file system', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), (name) => {
        let file: string;
        try {
          file = fileNameOf(name);
        } catch {
          return;
        }
        expect(file).toMatch(/^(?!\.)[a-z0-9_.%A-F-]+$/);
        expect(nameOf(file)).toBe(name);
      }),
    );
  });

  it.each([
    ['smollm2:135m', 'smollm2%3A135m'],
    ['../../etc/passwd', '%2E.%2F..%2Fetc%2Fpasswd'],
    ['Owner/Model', '%4Fwner%2F%4Dodel'],
  ])('writes %s as %s', (name, file) => expect(fileNameOf(name)).toBe(file));

  it.each(['', 'x'.repeat(300)])('refuses an empty name and an endless one', (name) => {
    expect(() => fileNameOf(name)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
  });
});
