import { symlinkSync } from 'node:fs';
import { link, lstat, mkdir, mkdtemp, readFile, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freeBytes } from '../files.ts';
import { checkFormat } from '../formats.ts';
import { fakeGguf, tinyLlama } from '../gguf.fake.ts';
import { openBench } from '../pull.fake.ts';
import type { Bench } from '../pull.fake.ts';
import { digestOf } from '../server.fake.ts';
import { writeChunk } from '../sources/context.ts';
import { readUsable } from '../usable.ts';
import { importModels } from './import.ts';
import type { ImportOptions } from './import.ts';
import { scanPlace } from './place.ts';
import type { ImportPlace } from './place.ts';
import { idOfFile } from './scan.ts';
import type { FoundModel } from './scan.ts';

let bench: Bench;
let root: string;
beforeEach(async () => {
  bench = await openBench();
  root = await mkdtemp(join(tmpdir(), 'import-'));
});
afterEach(async () => {
  await bench.close();
  await rm(root, { recursive: true, force: true });
});

const gguf = (name = 'Tiny') => fakeGguf({ ...tinyLlama, metadata: { ...tinyLlama.metadata, 'general.name': name } });
const write = async (path: string, content: Uint8Array | string) => {
  const file = join(root, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  await utimes(file, 1_000_000, 1_000_000);
  return file;
};
const facts = async (path: string) => {
  const { dev, ino, mode, mtimeMs, size, uid } = await lstat(path);
  return { dev, ino, mode, mtimeMs, size, uid };
};
/** Everything below the root with what must not change of it. */
const snapshot = async () => {
  const files = (await readdir(root, { recursive: true })).sort();
  return Promise.all(files.map(async (file) => [file, await facts(join(root, file))] as const));
};
const scan = (place: ImportPlace = { kind: 'path', path: root }, env: Record<string, string> = {}) =>
  scanPlace(place, env);
const run = async (options: Partial<ImportOptions> = {}, found?: readonly FoundModel[]) =>
  importModels(found ?? (await scan()).found, {
    ...{ store: bench.store, signal: new AbortController().signal, onProgress: () => undefined },
    ...{ free: freeBytes, write: writeChunk, copy: false, nameable: () => true, place: 'a test' },
    onImported: async () => undefined,
    async check(path, name) {
      await checkFormat(path, name, false);
      await readUsable(path, name);
    },
    ...options,
  });

const ollama = async (name: string, content: Uint8Array, options: { type?: string; digest?: string } = {}) => {
  const digest = options.digest ?? digestOf(content);
  const mediaType = `application/vnd.ollama.image.${options.type ?? 'model'}`;
  const template = { mediaType: 'application/vnd.ollama.image.template', digest: `sha256:${'0'.repeat(64)}`, size: 1 };
  const layers = [template, { mediaType, digest: `sha256:${digest}`, size: content.length }];
  await write(`manifests/${name}`, JSON.stringify({ schemaVersion: 2, layers }));
  return write(`blobs/sha256-${digest}`, content);
};
const hub = async (repo: string, commit: string, file: string, content: Uint8Array) => {
  const blob = await write(`${repo}/blobs/${digestOf(content)}`, content);
  const path = join(root, repo, 'snapshots', commit, file);
  await mkdir(dirname(path), { recursive: true });
  await symlink(`../../blobs/${digestOf(content)}`, path);
  return blob;
};

describe('an Ollama store', () => {
  it('is found by its layout, and its files are linked, with the originals as they were', async () => {
    const weights = gguf();
    const original = await ollama('registry.ollama.ai/library/tiny/1b', weights);
    await ollama('registry.ollama.ai/someone/Other_Model/latest', gguf('Other'));
    const before = await snapshot();
    const { found, skipped, layout } = await scan();
    expect({ layout, skipped }).toEqual({ layout: 'ollama', skipped: [] });
    expect(found.map(({ id, title }) => `${id} ${title}`).sort()).toEqual([
      'someone-other_model:latest someone/Other_Model:latest',
      'tiny:1b tiny:1b',
    ]);
    const { imported } = await run();
    expect(imported.map(({ how }) => how)).toEqual(['linked', 'linked']);
    const stored = bench.store.get('tiny:1b');
    expect(stored?.sha256).toBe(digestOf(weights));
    expect(await facts(stored?.path ?? '')).toEqual(await facts(original));
    expect(await snapshot()).toEqual(before);
    expect(imported[1]?.found.origins ?? imported[0]?.found.origins).toMatchObject([{ kind: 'ollama' }]);
  });

  it('is looked for where its variable says', async () => {
    await ollama('registry.ollama.ai/library/tiny/1b', gguf());
    expect((await scan({ kind: 'ollama' }, { OLLAMA_MODELS: root })).found).toHaveLength(1);
    await expect(scan({ kind: 'huggingface' }, { HF_HOME: join(root, 'none'), HOME: root })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(join(root, 'none/hub')) as string,
    });
  });

  it.each([
    ['a blob that is not what its name says', { digest: 'a'.repeat(64) }, /its name says aaaaaaaaaaaa/],
    ['an adapter', { type: 'adapter' }, /needs an adapter/],
    ['no weights', { type: 'license' }, /lists no GGUF file/],
  ])('with %s says so and takes nothing', async (_, options, why) => {
    await ollama('registry.ollama.ai/library/tiny/1b', gguf(), options);
    const { skipped } = await scan();
    const all = [...skipped, ...(await run()).skipped];
    expect(all).toMatchObject([{ title: 'tiny:1b', why: expect.stringMatching(why) as string }]);
    expect(bench.store.list()).toEqual([]);
    expect(await bench.leftovers()).toEqual([]);
  });

  it.each([
    ['{"layers": 7}', /manifest is not one/],
    ['', /manifest is not one/],
    [`${' '.repeat(2 ** 20 + 1)}{}`, /longer than a manifest/],
  ])('with a manifest like %.20s says so', async (text, why) => {
    await write('blobs/x', 'x');
    await write('manifests/registry.ollama.ai/library/tiny/1b', text);
    expect((await scan()).skipped).toMatchObject([{ why: expect.stringMatching(why) as string }]);
  });
});

describe('a Hugging Face cache', () => {
  it('is found by its layout; of two revisions the one that main means is taken', async () => {
    const [older, newer] = ['a'.repeat(40), 'b'.repeat(40)];
    await hub('models--org--tiny-GGUF', older, 'Tiny-1B.Q4_K_M.gguf', gguf('old'));
    const original = await hub('models--org--tiny-GGUF', newer, 'Tiny-1B.Q4_K_M.gguf', gguf('new'));
    await hub('models--org--tiny-GGUF', newer, 'README.md', Buffer.from('# read'));
    await hub('models--org--torch', newer, 'pytorch_model.bin', Buffer.from([0x80, 2]));
    await write('models--org--tiny-GGUF/refs/main', newer);
    const before = await snapshot();
    const { found, skipped } = await scan({ kind: 'huggingface' }, { HF_HUB_CACHE: root });
    expect(found).toMatchObject([{ id: 'tiny-1b:q4_k_m', title: 'org/tiny-GGUF/Tiny-1B.Q4_K_M.gguf' }]);
    expect(skipped.map(({ title, why }) => `${title}: ${why}`)).toEqual([
      'org/tiny-GGUF/Tiny-1B.Q4_K_M.gguf@aaaaaaaaaaaa: a newer revision is taken',
      'org/torch: it has no GGUF file (it has .bin), and no engine here loads another',
    ]);
    await run();
    expect((await facts(bench.store.get('tiny-1b:q4_k_m')?.path ?? '')).ino).toBe((await facts(original)).ino);
    expect(await snapshot()).toEqual(before);
  });
});

describe('a folder', () => {
  it('is taken file by file, and again without reading or changing anything', async () => {
    const original = await write('deep/down/Tiny-1B-Q8_0.gguf', gguf());
    await write('notes.txt', 'x');
    const first = await run();
    expect(first.imported).toMatchObject([{ how: 'linked', model: { name: 'tiny-1b:q8_0' } }]);
    const manifest = await readFile(join(bench.dir, 'manifests/tiny-1b%3Aq8_0.json'), 'utf8');
    const read: unknown[] = [];
    const again = await run({ onProgress: (progress) => read.push(progress) });
    expect(again.imported).toMatchObject([{ how: 'known', model: { name: 'tiny-1b:q8_0' } }]);
    expect(read).toEqual([]);
    expect(await readFile(join(bench.dir, 'manifests/tiny-1b%3Aq8_0.json'), 'utf8')).toBe(manifest);
    await bench.store.remove('tiny-1b:q8_0');
    expect(digestOf(await readFile(original))).toBe(digestOf(gguf()));
  });

  it('gives another name where one means something else', async () => {
    await write('a/m.gguf', gguf('one'));
    await write('b/m.gguf', gguf('two'));
    await write('c/taken.gguf', gguf('three'));
    const { imported } = await run({ nameable: (name) => name !== 'taken' });
    expect(imported.map(({ model }) => model.name)).toEqual(['m', 'm-imported', 'taken-imported']);
    const again = await run({ nameable: (name) => name !== 'taken' });
    expect(again.imported.map(({ model, how }) => `${model.name} ${how}`)).toEqual([
      'm known',
      'm-imported known',
      'taken-imported known',
    ]);
  });

  it('follows no symbolic link out of it, into a circle, or to what is no file', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'outside-'));
    try {
      await writeFile(join(outside, 'secret.gguf'), gguf());
      await symlink(join(outside, 'secret.gguf'), join(root, 'escape.gguf'));
      await symlink(outside, join(root, 'folder'));
      await symlink(join(root, 'circle.gguf'), join(root, 'circle.gguf'));
      await symlink('/dev/zero', join(root, 'device.gguf'));
      await symlink(join(root, 'gone'), join(root, 'dangling.gguf'));
      await write('real/m.gguf', gguf());
      await symlink(join(root, 'real/m.gguf'), join(root, 'inner.gguf'));
      const { found, skipped } = await scan();
      expect(found.map(({ title }) => title)).toEqual(['inner.gguf', 'real/m.gguf']);
      expect(Object.fromEntries(skipped.map(({ title, why }) => [title, why]))).toMatchObject({
        'escape.gguf': expect.stringMatching(/symbolic link to .*outside-/) as string,
        'circle.gguf': expect.stringMatching(/circle/) as string,
        'device.gguf': expect.stringMatching(/outside of/) as string,
        'dangling.gguf': 'its file is missing',
      });
    } finally {
      await rm(outside, { recursive: true, force: true });
    }
  });

  it('takes the good ones and tells of the others by name and field', async () => {
    await write('good.gguf', gguf());
    await write('page.gguf', '<html>');
    await write('cut.gguf', gguf().subarray(0, 200));
    await write('many.gguf', fakeGguf({ metadata: { ...tinyLlama.metadata, 'llama.block_count': 4_000_000_000 } }));
    await write('words.gguf', fakeGguf({ metadata: { ...tinyLlama.metadata, 'x.y': 'z' } }));
    await write('big-00001-of-00002.gguf', gguf());
    await write('old.pth', 'x');
    const { imported, skipped } = await run();
    expect(imported.map(({ model }) => model.name)).toEqual(['good']);
    const all = [...(await scan()).skipped, ...skipped].map(({ title, why }) => `${title}: ${why}`);
    expect(all).toEqual([
      expect.stringMatching(
        /^big-00001-of-00002\.gguf: it is part 1 of 2 of a model: join them with `llama-gguf-split/,
      ),
      expect.stringMatching(/^old\.pth: it is a pickle/),
      expect.stringMatching(/^cut\.gguf: cut\.gguf is not a usable GGUF file: it ends at byte 200/),
      expect.stringMatching(/^many\.gguf: .* 4000000000, more than 4096 \(at "llama\.block_count"\)/),
      expect.stringMatching(/^page\.gguf: page\.gguf is not a model: it is a text/),
      expect.stringMatching(/^words\.gguf: .* it has no weights \(at the count of tensors\)/),
    ]);
    expect(await bench.leftovers()).toEqual([]);
  });

  it('on another file system is copied only when that is asked for', async (context) => {
    const elsewhere = await mkdtemp('/dev/shm/import-').catch(() => null);
    if (elsewhere === null) return context.skip('there is no /dev/shm to write to');
    try {
      await writeFile(join(elsewhere, 'm.gguf'), gguf());
      const same = (await lstat(elsewhere)).dev === (await lstat(bench.dir)).dev;
      if (same) return context.skip('/dev/shm is on the file system of the temporary folder');
      const { found } = await scan({ kind: 'path', path: elsewhere });
      const { imported, skipped } = await run({}, found);
      expect(imported).toEqual([]);
      expect(skipped).toMatchObject([{ why: expect.stringMatching(/another file system.*--copy/) as string }]);
      expect(await bench.leftovers()).toEqual([]);
      expect((await run({ copy: true }, found)).imported).toMatchObject([{ how: 'copied', model: { name: 'm' } }]);
      expect(digestOf(await readFile(bench.store.get('m')?.path ?? ''))).toBe(digestOf(gguf()));
    } finally {
      await rm(elsewhere, { recursive: true, force: true });
    }
  });

  it('or one file of it can be named', async () => {
    const path = await write('m.gguf', gguf());
    await link(path, join(root, 'n.gguf'));
    expect((await scan({ kind: 'path', path })).found.map(({ id }) => id)).toEqual(['m']);
    const other = await write('m.txt', 'x');
    expect((await scan({ kind: 'path', path: other })).skipped).toMatchObject([{ title: 'm.txt' }]);
    await expect(scan({ kind: 'path', path: 'm.gguf' })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await expect(scan({ kind: 'path', path: join(root, 'none') })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('regression: or one file of it can be named, however much lies beside that', async (context) => {
    // In memory, where so many entries take no time.
    const full = await mkdtemp('/dev/shm/import-').catch(() => null);
    if (full === null) return context.skip('there is no /dev/shm to write to');
    try {
      const path = join(full, 'm.gguf');
      await writeFile(path, gguf());
      await writeFile(join(full, 'big-00001-of-00002.gguf'), gguf());
      await writeFile(join(full, 'old.pth'), 'x');
      for (let i = 0; i < 50_000; i++) symlinkSync('x', join(full, String(i)));
      await expect(scan({ kind: 'path', path: full })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
      const { found, skipped } = await scan({ kind: 'path', path });
      expect({ found, skipped }).toMatchObject({ found: [{ id: 'm', title: 'm.gguf', path }], skipped: [] });
      const other = async (name: string) => (await scan({ kind: 'path', path: join(full, name) })).skipped;
      expect(await other('big-00001-of-00002.gguf')).toMatchObject([
        { why: expect.stringMatching(/part 1 of 2/) as string },
      ]);
      expect(await other('old.pth')).toMatchObject([{ why: expect.stringMatching(/a pickle/) as string }]);
    } finally {
      await rm(full, { recursive: true, force: true });
    }
  });

  it('ends when whoever asked leaves, with nothing half-made', async () => {
    await write('m.gguf', gguf());
    await write('n.gguf', gguf('n'));
    const leave = new AbortController();
    const running = run({ signal: leave.signal, check: async () => leave.abort() });
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(await bench.leftovers()).toEqual([]);
  });
});

describe('names of imported files', () => {
  it.each([
    ['SmolLM2-135M-Instruct.Q4_1.gguf', 'smollm2-135m-instruct:q4_1'],
    ['gemma-3-270m-it-UD-Q4_K_XL.gguf', 'gemma-3-270m-it:ud-q4_k_xl'],
    ['model-BF16.gguf', 'model:bf16'],
    ['../../etc/Passwd.gguf', 'etc-passwd'],
    ['.gguf', 'model'],
    ['Ünï cödé!.gguf', 'n-c-d'],
  ])('%s becomes %s', (file, id) => expect(idOfFile(file)).toBe(id));
});
