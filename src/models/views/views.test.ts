import { readFile, readlink, stat } from 'node:fs/promises';
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
});

describe('the folder view', () => {
  it('has one file by the name of each model', async () => {
    const { root, path } = await b.views.ensure('folder', await b.put('tiny:1b'));
    expect(path).toBe(join(root, 'tiny/1b.gguf'));
    expect((await scanPlace({ kind: 'path', path: root }, {})).found).toMatchObject([{ id: '1b' }]);
  });
});
