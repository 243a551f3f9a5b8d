import { readFile, readdir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scanPlace } from '../import/place.ts';
import { openViewBench, viewConformance } from './views.conformance.ts';
import type { ViewBench } from './views.conformance.ts';

viewConformance('ollama');
viewConformance('huggingface');
viewConformance('folder');

let b: ViewBench;
beforeEach(async () => {
  b = await openViewBench();
});
afterEach(() => b.close());

const inode = async (path: string) => (await stat(path)).ino;
const blob = (sha256: string) => join(b.bench.dir, 'blobs', `sha256-${sha256}`);

describe('the Ollama view', () => {
  it('reads back as an Ollama store, with the same file', async () => {
    const [tagged, bare] = [await b.put('tiny:1b'), await b.put('bare')];
    const { root } = await b.views.ensure('ollama', tagged);
    await b.views.ensure('ollama', bare);
    const { layout, found, skipped } = await scanPlace({ kind: 'path', path: root }, {});
    expect({ layout, skipped }).toEqual({ layout: 'ollama', skipped: [] });
    expect(found.map(({ title, claimed }) => [title, claimed])).toEqual([
      ['bare:latest', bare.sha256],
      ['tiny:1b', tagged.sha256],
    ]);
    for (const { path, claimed } of found) expect(await inode(path)).toBe(await inode(blob(claimed ?? '')));
  });

  it('lists layers that are all there, of their size, and a template for a format that is known', async () => {
    const { root, path } = await b.views.ensure('ollama', await b.put('tiny:1b'));
    const manifest = JSON.parse(await readFile(path, 'utf8')) as {
      readonly config: { readonly digest: string; readonly size: number };
      readonly layers: readonly { readonly mediaType: string; readonly digest: string; readonly size: number }[];
    };
    for (const { digest, size } of [manifest.config, ...manifest.layers]) {
      expect((await stat(join(root, 'blobs', digest.replace(':', '-')))).size).toBe(size);
    }
    expect(manifest.layers.map(({ mediaType }) => mediaType.split('.').at(-1))).toEqual(['model', 'template']);
  });
});

describe('the hub view', () => {
  it('has a model from the hub where the hub has it', async () => {
    const revision = 'c'.repeat(40);
    const origin = { kind: 'huggingface', repo: 'org/Tiny-GGUF', revision, file: 'sub/Tiny.Q4_1.gguf' } as const;
    const model = await b.put('tiny:1b', 'x', origin);
    const { root, path } = await b.views.ensure('huggingface', model);
    expect(path).toBe(join(root, `models--org--Tiny-GGUF/snapshots/${revision}/sub/Tiny.Q4_1.gguf`));
    expect(await readlink(path)).toBe(`../../../blobs/${model.sha256}`);
    expect(await inode(path)).toBe(await inode(blob(model.sha256)));
    expect(await readFile(join(root, 'models--org--Tiny-GGUF/refs/main'), 'utf8')).toBe(revision);
    expect((await scanPlace({ kind: 'path', path: root }, {})).found).toMatchObject([{ claimed: model.sha256 }]);
  });

  const of = (file: string, revision = 'main') =>
    ({ kind: 'huggingface', repo: 'org/Tiny-GGUF', revision, file }) as const;
  const read = async (root: string) => {
    const { found, skipped } = await scanPlace({ kind: 'path', path: root }, {});
    return { found: found.map(({ title, claimed }) => [title.split('/').at(-1), claimed]), skipped };
  };

  it('regression: has two files of one repository and branch in one snapshot, and each without the other', async () => {
    const [one, two] = [await b.put('a', 'a', of('a.gguf')), await b.put('b', 'b', of('sub/b.gguf'))];
    const { root, path } = await b.views.ensure('huggingface', one);
    const other = await b.views.ensure('huggingface', two);
    const commit = await readFile(join(root, 'models--org--Tiny-GGUF/refs/main'), 'utf8');
    expect(commit).toMatch(/^[0-9a-f]{40}$/);
    const snapshot = join(root, 'models--org--Tiny-GGUF/snapshots', commit);
    expect([path, other.path]).toEqual([join(snapshot, 'a.gguf'), join(snapshot, 'sub/b.gguf')]);
    expect(await read(root)).toEqual({
      found: [
        ['a.gguf', one.sha256],
        ['b.gguf', two.sha256],
      ],
      skipped: [],
    });
    await b.views.drop('a');
    expect(await read(root)).toEqual({ found: [['b.gguf', two.sha256]], skipped: [] });
    await b.views.drop('b');
    expect(await readdir(root)).toEqual([]);
  });

  it('regression: gives a place that two models share back to the one that stays', async () => {
    const branch = await b.put('branch', 'old', of('m.gguf'));
    const { root, path } = await b.views.ensure('huggingface', branch);
    const ref = () => readFile(join(root, 'models--org--Tiny-GGUF/refs/main'), 'utf8');
    const commit = await ref();
    // A later file of the same branch, and one of a commit, which main means from then on.
    await b.views.ensure('huggingface', await b.put('later', 'new', of('m.gguf')));
    await b.views.ensure('huggingface', await b.put('pinned', 'pinned', of('m.gguf', 'c'.repeat(40))));
    expect(await ref()).toBe('c'.repeat(40));
    await b.views.drop('pinned');
    await b.views.drop('later');
    expect(await ref()).toBe(commit);
    expect(await inode(path)).toBe(await inode(blob(branch.sha256)));
    expect(await read(root)).toEqual({ found: [['m.gguf', branch.sha256]], skipped: [] });
  });
});

describe('the folder view', () => {
  it('has one file by the name of each model', async () => {
    const { root, path } = await b.views.ensure('folder', await b.put('tiny:1b'));
    expect(path).toBe(join(root, 'tiny/1b.gguf'));
    expect((await scanPlace({ kind: 'path', path: root }, {})).found).toMatchObject([{ id: '1b' }]);
  });
});
