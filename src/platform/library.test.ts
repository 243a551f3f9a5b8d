import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '#kernel/logger';
import { fakeGguf, tinyLlama } from '#models/gguf.fake';
import { openBench } from '#models/pull.fake';
import type { Bench } from '#models/pull.fake';
import { digestOf } from '#models/server.fake';
import { createViews } from '#models/views/views';
import { createLibrary } from './library.ts';
import type { LibraryDeps } from './library.ts';

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.close());

const put = async (id: string, bytes: Uint8Array) => {
  const file = join(await bench.store.partial(id), 'tmp-made');
  await writeFile(file, bytes);
  return bench.store.add(id, file, { sha256: digestOf(bytes), bytes: bytes.length, source: 'a test' });
};
const gguf = (name: string) => fakeGguf({ ...tinyLlama, metadata: { ...tinyLlama.metadata, 'general.name': name } });
const library = () =>
  createLibrary({
    models: bench.store,
    modelViews: createViews(bench.store, silentLogger),
    directory: { model: (id: string) => ({ definition: { id, sources: [] } }) },
  } as unknown as LibraryDeps);

describe('a view', () => {
  it('regression: of all models passes over what it cannot show, and tells of it', async () => {
    await put('a', gguf('a'));
    await put('onnx', Buffer.from('another format'));
    const { sha256 } = await put('broken', gguf('broken'));
    await bench.store.mark(sha256, { reason: 'a test says so', foundAt: 1 });
    await put('z', gguf('z'));
    const { root, models, skipped } = await library().view('folder', []);
    expect(models).toEqual(['a', 'z'].map((id) => ({ id, path: join(root, `${id}.gguf`) })));
    expect(skipped).toEqual([
      { id: 'broken', why: 'The file of broken is not here whole.' },
      { id: 'onnx', why: 'onnx has no GGUF file that a view could show.' },
    ]);
  });

  it('of named models is refused when it cannot show one', async () => {
    await put('a', gguf('a'));
    await put('onnx', Buffer.from('another format'));
    const { view } = library();
    await expect(view('folder', ['a', 'onnx'])).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('onnx has no GGUF file') as string,
    });
    await expect(view('folder', ['gone'])).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await view('folder', ['a'])).toMatchObject({ models: [{ id: 'a' }], skipped: [] });
  });
});
