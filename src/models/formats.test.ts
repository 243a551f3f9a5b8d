import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkFormat } from './formats.ts';
import { fakeGguf, tinyLlama } from './gguf.fake.ts';
import { fakeWheel } from './wheel.fake.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'formats-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const check = async (bytes: Uint8Array | string, name: string, allowPickle = false) => {
  const path = join(folder, 'sha256-of-it');
  await writeFile(path, bytes);
  return checkFormat(path, name, allowPickle);
};
const safetensors = (): Buffer => {
  const header = Buffer.from('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(4)]);
};
const torch = fakeWheel({ 'archive/data.pkl': Buffer.from('x'), 'archive/data/0': Buffer.alloc(8) });
const binary = Buffer.from([0x08, 0x07, 0x12, 0x00, 0xff, 0x00]);

describe('the format of a file', () => {
  it.each([
    ['GGUF, whatever it is called', fakeGguf(tinyLlama), 'pytorch_model.bin', 'gguf'],
    ['safetensors', safetensors(), 'model.bin', 'safetensors'],
    ['an archive without a pickle', fakeWheel({ 'a.txt': Buffer.from('x') }), 'm.zip', 'zip'],
    ['something else', binary, 'model.onnx', 'unknown'],
  ])('is %s', async (_, bytes, name, format) => expect(await check(bytes, name)).toBe(format));

  it.each([
    ['a PyTorch archive', torch, 'model.gguf', /the pickle archive\/data\.pkl/],
    ['a pickle of protocol 2', Buffer.from([0x80, 2, 0x8a, 10]), 'model', /begins as a pickle/],
    ['a pickle of protocol 5', Buffer.from([0x80, 5, 0x95, 0]), 'model', /begins as a pickle/],
    ['a pickle of protocol 0 that calls', "cos\nsystem\n(S'true'\ntR.", 'model', /begins as a pickle/],
    ['a dictionary of protocol 0', "(dp0\nS'a'\np1\nI1\ns.", 'model', /begins as a pickle/],
    ['a name that says so, of content nobody knows', binary, 'a/pytorch_model.bin', /\.bin files are pickles/],
  ])('is refused when it is %s, and allowed when pickles are', async (_, bytes, name, reason) => {
    await expect(check(bytes, name)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringMatching(reason) as string,
    });
    expect(await check(bytes, name, true)).toBe('pickle');
  });

  it.each([
    ['nothing', '', /model\.gguf is not a model: it is empty/],
    ['an error page', '<!doctype html><title>Sign in</title>', /a text that begins with "<!doctype html>/],
    [
      'a pointer to large-file storage',
      'version https://git-lfs.github.com/spec/v1\noid sha256:1',
      /begins with "version/,
    ],
    [
      'one part of a model, whatever it is called',
      fakeGguf({ metadata: { 'split.no': 1, 'split.count': 3 } }),
      /model\.gguf .* it is part 2 of 3 of a model: join them with `llama-gguf-split --merge/,
    ],
    ['a cut GGUF file', fakeGguf(tinyLlama).subarray(0, 100), /model\.gguf is not a usable GGUF file/],
  ])('is no model when it is %s', async (_, bytes, reason) => {
    await expect(check(bytes, 'model.gguf', true)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringMatching(reason) as string,
    });
  });
});
