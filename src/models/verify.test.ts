import { rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Progress } from '#contracts/models';
import { openBench } from './pull.fake.ts';
import type { Bench } from './pull.fake.ts';
import { digestOf } from './server.fake.ts';
import { verifyModels } from './verify.ts';

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.close());

const digest = (content: string) => digestOf(Buffer.from(content));
const put = async (name: string, content: string) => {
  const file = join(await bench.store.partial(name), 'tmp-made');
  await writeFile(file, content);
  return bench.store.add(name, file, { sha256: digest(content), bytes: content.length, source: 'a test' });
};
const verify = (names: readonly string[], signal = new AbortController().signal, heard: Progress[] = []) =>
  verifyModels(bench.store, names, { signal, clock: bench.clock, onProgress: (progress) => heard.push(progress) });

describe('a check of the store', () => {
  it('finds what was altered, cut or lost, marks it and leaves it where it is', async () => {
    for (const name of ['whole', 'altered', 'cut', 'lost']) await put(name, `weights of ${name}`);
    const path = (name: string) => bench.store.get(name)?.path ?? '';
    await writeFile(path('altered'), 'WEIGHTS of altered');
    await truncate(path('cut'), 3);
    await rm(path('lost'));
    const found = await verify(['whole', 'altered', 'cut', 'lost']);
    expect(found.map(({ names, problem }) => [names[0]?.name, problem])).toEqual([
      ['whole', null],
      ['altered', `its SHA-256 is ${digest('WEIGHTS of altered')}`],
      ['cut', 'its file has 3 bytes instead of 14'],
      ['lost', 'its file is missing'],
    ]);
    expect(bench.store.damage(digest('weights of altered'))?.reason).toMatch(/SHA-256/);
    expect(bench.store.damage(digest('weights of whole'))).toBeNull();
    expect((await stat(path('altered'))).size).toBe(18);
  });

  it('reads a file once for all its names and versions, and takes a mark back when it is whole again', async () => {
    await put('a', 'old');
    await put('a', 'new');
    await put('b', 'new');
    await bench.store.mark(digest('new'), { reason: 'a test says so', foundAt: 1 });
    const heard: Progress[] = [];
    const found = await verify(['a', 'b'], undefined, heard);
    expect(found.map(({ names }) => names.map(({ name, present }) => `${name} ${present}`))).toEqual([
      ['a true', 'b true'],
      ['a false'],
    ]);
    expect(bench.store.damage(digest('new'))).toBeNull();
    expect(heard.at(-1)).toMatchObject({ phase: 'verifying', done: 6, total: 6 });
  });

  it('ends when whoever asked leaves, and marks nothing for that', async () => {
    await put('a', 'weights');
    const leave = new AbortController();
    leave.abort();
    await expect(verify(['a'], leave.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(bench.store.damage(digest('weights'))).toBeNull();
  });

  it('names the nearest models when one is unknown', async () => {
    await put('smollm2:135m', 'weights');
    await expect(verify(['smollm:135m'])).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
