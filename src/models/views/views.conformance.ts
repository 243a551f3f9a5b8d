import { lstat, readFile, readdir, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '#kernel/logger';
import { fakeGguf, tinyLlama } from '../gguf.fake.ts';
import { readGguf } from '../gguf.ts';
import { openBench } from '../pull.fake.ts';
import type { Bench } from '../pull.fake.ts';
import { digestOf } from '../server.fake.ts';
import type { ViewKind, ViewedModel } from './view.ts';
import { createViews, views } from './views.ts';
import type { Views } from './views.ts';

/** A store with views of it, and what the tests of each view begin with. */
export interface ViewBench {
  readonly bench: Bench;
  readonly views: Views;
  /** Puts a model with that content's name in its header into the store. */
  put(id: string, content?: string, origin?: ViewedModel['origin']): Promise<ViewedModel>;
  close(): Promise<void>;
}

export async function openViewBench(): Promise<ViewBench> {
  const bench = await openBench();
  return {
    bench,
    views: createViews(bench.store, silentLogger),
    async put(id, content = id, origin = null) {
      const chatTemplate = { 'tokenizer.chat_template': '<|im_start|>' };
      const metadata = { ...tinyLlama.metadata, ...chatTemplate, 'general.name': content };
      const bytes = fakeGguf({ ...tinyLlama, metadata });
      const file = join(await bench.store.partial(id), 'tmp-made');
      await writeFile(file, bytes);
      const sha256 = digestOf(bytes);
      const { path } = await bench.store.add(id, file, { sha256, bytes: bytes.length, source: 'a test' });
      return { id, sha256, bytes: bytes.length, origin, header: await readGguf(path) };
    },
    close: () => bench.close(),
  };
}

/** What every view promises. */
export function viewConformance(kind: ViewKind): void {
  let b: ViewBench;
  const root = () => join(b.bench.dir, 'views', kind);
  const files = async () => {
    const all = await readdir(root(), { recursive: true, withFileTypes: true }).catch(() => []);
    return all.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  };
  /** Files of the view that are the blob itself, whatever link leads there. */
  const blobs = async (sha256: string) => {
    const { ino } = await stat(join(b.bench.dir, 'blobs', `sha256-${sha256}`));
    const inodes = await Promise.all((await files()).map(async (file) => (await stat(file)).ino));
    return inodes.filter((inode) => inode === ino).length;
  };

  describe(`the ${kind} view`, () => {
    beforeEach(async () => {
      b = await openViewBench();
    });
    afterEach(() => b.close());

    it('has the very file of the store, and nothing of it twice', async () => {
      const model = await b.put('tiny:1b');
      const { root: place, path } = await b.views.ensure(kind, model);
      expect(place).toBe(root());
      expect(path.startsWith(root())).toBe(true);
      expect(await blobs(model.sha256)).toBeGreaterThan(0);
      const large = await Promise.all(
        (await files()).map(async (file) => [await lstat(file), await stat(file)] as const),
      );
      const blob = await stat(join(b.bench.dir, 'blobs', `sha256-${model.sha256}`));
      for (const [own, target] of large) if (own.size >= model.bytes) expect(target.ino).toBe(blob.ino);
    });

    it('is the same when it is made again, and leaves no half-made file', async () => {
      const model = await b.put('tiny:1b');
      await b.views.ensure(kind, model);
      const before = await Promise.all((await files()).map(async (file) => [file, (await lstat(file)).ino]));
      await Promise.all([b.views.ensure(kind, model), b.views.ensure(kind, model)]);
      expect(await Promise.all((await files()).map(async (file) => [file, (await lstat(file)).ino]))).toEqual(before);
      expect((await files()).filter((file) => file.endsWith('.tmp'))).toEqual([]);
      expect(await b.views.list(kind)).toEqual(['tiny:1b']);
    });

    it('loses a model when that goes, and keeps another with the same file', async () => {
      const [one, two] = [await b.put('tiny:1b', 'same'), await b.put('other', 'same')];
      await b.views.ensure(kind, one);
      const { path } = await b.views.ensure(kind, two);
      await b.views.drop('tiny:1b');
      expect(await blobs(two.sha256)).toBeGreaterThan(0);
      expect(await stat(path)).toBeDefined();
      await b.bench.store.remove('other');
      await b.views.refresh(async () => null);
      expect(await files()).toEqual([]);
      expect(await b.views.list(kind)).toEqual([]);
    });

    it('has the new file once a name has got one', async () => {
      const old = await b.put('tiny:1b', 'old');
      await b.views.ensure(kind, old);
      const fresh = await b.put('tiny:1b', 'new');
      await b.views.refresh(async (id) => (id === 'tiny:1b' ? fresh : null));
      expect(await blobs(old.sha256)).toBe(0);
      expect(await blobs(fresh.sha256)).toBeGreaterThan(0);
    });

    it('has the whole file once a damaged one was replaced', async () => {
      const model = await b.put('tiny:1b');
      await b.views.ensure(kind, model);
      await b.bench.store.mark(model.sha256, { reason: 'a test says so', foundAt: 1 });
      await expect(b.views.ensure(kind, model)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await b.put('tiny:1b');
      await b.views.refresh(async () => model);
      expect(await blobs(model.sha256)).toBeGreaterThan(0);
    });

    it('is made anew when what was written of it cannot be read', async () => {
      const model = await b.put('tiny:1b');
      await b.views.ensure(kind, model);
      await writeFile(join(b.bench.dir, 'views', `${kind}.json`), '{"tiny:1b":');
      await b.views.ensure(kind, model);
      expect(await blobs(model.sha256)).toBeGreaterThan(0);
      await rm(join(b.bench.dir, 'views', `${kind}.json`));
      await b.views.ensure(kind, model);
      await b.views.drop('tiny:1b');
      expect(await files()).toEqual([]);
    });

    it('stays below its root, whatever the definition says', async () => {
      const origins: readonly NonNullable<ViewedModel['origin']>[] = [
        { kind: 'huggingface', repo: '../../evil', revision: 'main', file: 'm.gguf' },
        { kind: 'huggingface', repo: 'a/b', revision: '../../../x', file: 'm.gguf' },
        { kind: 'huggingface', repo: 'a/b', revision: 'main', file: '../../../../m.gguf' },
        { kind: 'huggingface', repo: 'a/b', revision: 'main', file: '/etc/m.gguf' },
      ];
      for (const [i, origin] of origins.entries()) {
        const { path } = await b.views.ensure(kind, await b.put(`m${i}`, 'same', origin));
        expect(path.startsWith(root())).toBe(true);
        for (const file of await files()) expect((await realpath(file)).startsWith(await realpath(root()))).toBe(true);
      }
    });

    it('holds nothing but what its layout says', async () => {
      const model = await b.put('tiny:1b');
      await b.views.ensure(kind, model);
      const { links, files: small, symlinks } = views[kind].layout(model);
      expect((await files()).length).toBe(links.length + small.length + symlinks.length);
      for (const { path, content } of small) expect(await readFile(join(root(), path), 'utf8')).toBe(content);
    });
  });
}
