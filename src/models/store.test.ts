import { mkdir, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import { keptDigests } from './manifest.ts';
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
const digest = (content: string) => digestOf(Buffer.from(content));
const blobOf = (content: string) => `sha256-${digest(content)}`;
/** The history in words, by what the files of these tests hold. */
const lines = async (name: string) => {
  const contents = new Map(['oldest', 'old', 'new', 'newest'].map((content) => [digest(content), content]));
  const versions = await bench.store.versions(name);
  return versions.map(({ sha256, here, present }) =>
    [contents.get(sha256), ...(here ? ['here'] : []), ...(present ? ['present'] : [])].join(' '),
  );
};

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

  it('keeps the file before when a name gets another one, and no more than that', async () => {
    await put('a', 'oldest');
    await put('a', 'old');
    await put('a', 'new');
    expect((await blobs()).sort()).toEqual([blobOf('old'), blobOf('new')].sort());
    expect(await lines('a')).toEqual(['new here present', 'old here', 'oldest']);
    expect(await bench.store.remove('a')).toEqual({ freed: 6 });
    expect(await blobs()).toEqual([]);
  });

  it('goes back to the version before, stays there over a restart, and goes on with the next file', async () => {
    await put('a', 'old');
    await put('a', 'new');
    expect(await bench.store.rollback('a')).toMatchObject({ sha256: digest('old'), held: true });
    expect((await reopen()).get('a')).toMatchObject({ sha256: digest('old'), held: true });
    await expect(bench.store.rollback('a')).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await bench.store.rollback('a', digest('new').slice(0, 12))).toMatchObject({ sha256: digest('new') });
    await bench.store.rollback('a');
    expect(await put('a', 'newest')).toMatchObject({ held: false });
    expect(await lines('a')).toEqual(['newest here present', 'new here', 'old']);
  });

  it('does not go back to a version whose file is gone or damaged, and says how to get it', async () => {
    for (const content of ['oldest', 'old', 'new']) await put('a', content);
    const back = (content: string) => bench.store.rollback('a', digest(content));
    await expect(back('oldest')).rejects.toMatchObject({
      message: expect.stringContaining('is gone: pull it') as string,
    });
    await bench.store.mark(digest('old'), { reason: 'a test says so', foundAt: 1 });
    await expect(back('old')).rejects.toMatchObject({ message: expect.stringContaining('is damaged') as string });
    expect((await reopen()).damage(digest('old'))).toEqual({ reason: 'a test says so', foundAt: 1 });
    expect(bench.store.get('a')?.sha256).toBe(digest('new'));
  });

  it('removes one version, not the present one, and none that an engine uses', async () => {
    await put('a', 'old');
    await put('a', 'new');
    await expect(bench.store.removeVersion('a', digest('new'))).rejects.toMatchObject({ code: 'CONFLICT' });
    inUse.add(digest('old'));
    await expect(bench.store.removeVersion('a', digest('old'))).rejects.toMatchObject({ code: 'CONFLICT' });
    inUse.clear();
    expect(await bench.store.removeVersion('a', digest('old'))).toEqual({ freed: 3 });
    expect(await lines('a')).toEqual(['new here present']);
  });

  it('reads a manifest from before there were versions', async () => {
    const { name, sha256, bytes, source, pulledAt } = await put('a', 'weights');
    const old = JSON.stringify({ name, sha256, bytes, source, pulledAt });
    await writeFile(join(bench.dir, 'manifests', 'a.json'), old);
    const before = (await reopen()).get('a');
    expect(before?.versions).toEqual([{ sha256, bytes, source, pulledAt }]);
    expect(before?.held).toBe(false);
  });

  it('replaces a blob that is known to be damaged, and forgets that it was', async () => {
    const { path, sha256 } = await put('a', 'weights');
    await writeFile(path, 'WEIGHTS');
    await bench.store.mark(sha256, { reason: 'a test says so', foundAt: 1 });
    await put('a', 'weights');
    expect(await readFile(path, 'utf8')).toBe('weights');
    expect(bench.store.damage(sha256)).toBeNull();
    expect((await reopen()).damage(sha256)).toBeNull();
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
    const action = fc.record({ name, content: fc.constantFrom('x', 'y', 'z', null) });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 12 }), async (actions) => {
        await Promise.all(
          actions.map(({ name: which, content }, index) =>
            content === null ? bench.store.remove(which).catch(() => undefined) : add(which, content, index),
          ),
        );
        const kept = bench.store.list().flatMap((manifest) => keptDigests(manifest, 2));
        expect(new Set(await blobs())).toEqual(new Set(kept.map((sha256) => `sha256-${sha256}`)));
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
