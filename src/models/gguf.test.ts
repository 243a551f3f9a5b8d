import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fault } from '#kernel/faults';
import { fakeGguf, text, tinyLlama, u64 } from './gguf.fake.ts';
import type { FakeGguf } from './gguf.fake.ts';
import { checkTokenizer } from './gguf-checks.ts';
import { readGguf } from './gguf.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gguf-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const read = async (bytes: Uint8Array | FakeGguf) => {
  const file = join(folder, 'model.gguf');
  await writeFile(file, bytes instanceof Uint8Array ? bytes : fakeGguf(bytes));
  return readGguf(file);
};
const llama = (metadata: FakeGguf['metadata']) =>
  read({ ...tinyLlama, metadata: { ...tinyLlama.metadata, ...metadata } });
const refusal = async (bytes: Uint8Array): Promise<Fault> => {
  const fault: unknown = await read(bytes).catch((error: unknown) => error);
  if (!(fault instanceof Fault)) throw new Error(`not refused: ${String(fault)}`);
  return fault;
};

describe('readGguf', () => {
  it.each([2, 3])('reads the facts of a version %i file', async (version) => {
    const model = await read({ ...tinyLlama, version });
    expect(model).toMatchObject({
      version,
      architecture: 'llama',
      name: 'Tiny',
      blockCount: 2,
      embeddingLength: 64,
      headCount: 4,
      keyLength: 16,
      valueLength: 16,
      contextLength: 2048,
      vocabSize: 8,
      quantization: 'Q4_K_M',
      chatTemplate: true,
      parameters: 64 * 8 + 64,
      tensorBytes: (64 * 8 + 64) * 4,
      layers: [
        { kvHeads: 2, sliding: false },
        { kvHeads: 2, sliding: false },
      ],
    });
    expect(model.metadata.number('llama.rope.freq_base')).toBe(10_000);
    expect(model.metadata.length('tokenizer.ggml.tokens')).toBe(8);
    expect(model.metadata.items('tokenizer.ggml.tokens')).toBeUndefined();
  });

  it('takes a head count for each layer', async () => {
    const { layers } = await llama({ 'llama.attention.head_count_kv': [0, 4] });
    expect(layers.map(({ kvHeads }) => kvHeads)).toEqual([0, 4]);
  });

  it('takes the query heads where no key/value heads are given', async () => {
    const { 'llama.attention.head_count_kv': _, ...metadata } = tinyLlama.metadata ?? {};
    expect((await read({ ...tinyLlama, metadata })).layers[0]?.kvHeads).toBe(4);
  });

  it('knows that every sixth layer of Gemma 3 sees everything', async () => {
    const gemma = {
      'general.architecture': 'gemma3',
      'gemma3.block_count': 12,
      'gemma3.attention.sliding_window': 512,
    };
    const { layers } = await read({ metadata: gemma });
    expect(layers.flatMap(({ sliding }, layer) => (sliding ? [] : [layer]))).toEqual([5, 11]);
  });

  it('believes a pattern that the file writes down', async () => {
    const { layers } = await llama({
      'llama.attention.sliding_window': 128,
      'llama.attention.sliding_window_pattern': [false, true],
    });
    expect(layers.map(({ sliding }) => sliding)).toEqual([false, true]);
  });

  it('keeps a long array as its length', async () => {
    const { metadata } = await llama({ 'x.scores': Array.from({ length: 5000 }, (_, i) => i), 'x.after': 7 });
    expect(metadata.length('x.scores')).toBe(5000);
    expect(metadata.items('x.scores')).toBeUndefined();
    expect(metadata.number('x.after')).toBe(7);
  });

  it('refuses a file that is cut anywhere', async () => {
    const whole = fakeGguf(tinyLlama);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length - 33 }), async (length) => {
        const fault = await refusal(whole.subarray(0, length));
        expect(fault.code).toBe('BAD_REQUEST');
        expect(fault.message).toContain(join(folder, 'model.gguf'));
      }),
      { numRuns: 60 },
    );
  });

  it('ends with an answer or BAD_REQUEST whatever bytes are altered', async () => {
    const whole = fakeGguf(tinyLlama);
    const change = fc.tuple(fc.integer({ min: 4, max: whole.length - 1 }), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), async (changes) => {
        const altered = Buffer.from(whole);
        for (const [at, value] of changes) altered[at] = value;
        await read(altered).catch((error: unknown) => expect(error).toMatchObject({ code: 'BAD_REQUEST' }));
      }),
      { numRuns: 200 },
    );
  });

  const claims = (pairs: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from('GGUF'), Buffer.from([3, 0, 0, 0]), u64(0), u64(1), pairs, Buffer.alloc(64)]);
  const array = Buffer.from([9, 0, 0, 0]);
  const nested = Buffer.concat([array, u64(1)]);
  const absurd = (metadata: FakeGguf['metadata']) =>
    fakeGguf({ ...tinyLlama, metadata: { ...tinyLlama.metadata, ...metadata } });
  /** The second tensor's place in the file, altered. */
  const shifted = (offset: number): Buffer => {
    const bytes = fakeGguf(tinyLlama);
    const info = bytes.indexOf('output_norm.weight') + 'output_norm.weight'.length;
    bytes.writeBigUInt64LE(BigInt(offset), info + 4 + 8 + 4);
    return bytes;
  };

  it.each<[string, Buffer, RegExp]>([
    ['another kind of file', Buffer.from('PK\x03\x04 a wheel'), /does not begin with "GGUF"/],
    [
      'the other byte order',
      Buffer.concat([Buffer.from('GGUF'), Buffer.from([0, 0, 0, 3]), u64(0), u64(0)]),
      /big-endian/,
    ],
    ['version 1', Buffer.concat([Buffer.from('GGUF'), Buffer.from([1, 0, 0, 0]), u64(0), u64(0)]), /version 1/],
    [
      'countless tensors',
      Buffer.concat([Buffer.from('GGUF'), Buffer.from([3, 0, 0, 0]), u64(2 ** 40), u64(0)]),
      /tensors/,
    ],
    [
      'a count beyond numbers',
      Buffer.concat([Buffer.from('GGUF'), Buffer.from([3, 0, 0, 0]), u64(2n ** 63n), u64(0)]),
      /impossibly/,
    ],
    ['an endless key', claims(u64(2 ** 31)), /a text in it has/],
    [
      'an endless text',
      claims(Buffer.concat([text('k'), Buffer.from([8, 0, 0, 0]), u64(2 ** 33)])),
      /a text in it has/,
    ],
    [
      'an endless array',
      claims(Buffer.concat([text('k'), array, Buffer.from([4, 0, 0, 0]), u64(2 ** 30)])),
      /items in an array/,
    ],
    [
      'arrays in arrays',
      claims(Buffer.concat([text('k'), array, ...Array.from({ length: 9 }, () => nested)])),
      /nested deeper/,
    ],
    ['an unknown value type', claims(Buffer.concat([text('k'), Buffer.from([77, 0, 0, 0])])), /unknown type 77/],
    ['no architecture', fakeGguf({}), /architecture/],
    [
      'absurdly many layers',
      absurd({ 'llama.block_count': 2 ** 32 - 1 }),
      /4294967295, more than 4096 \(at "llama.block_count"/,
    ],
    [
      'absurdly many heads in one layer',
      absurd({ 'llama.attention.head_count_kv': [2, 2 ** 20] }),
      /at "llama.attention.head_count_kv"/,
    ],
    [
      'a negative context',
      absurd({ 'llama.context_length': { float: -1 } }),
      /it is -1, .* \(at "llama.context_length"/,
    ],
    ['a tensor beyond the file', shifted(2 ** 40), /bytes into the weights, .* \(at tensor "output_norm.weight"/],
    ['a tensor between places', shifted(2049), /no multiple of 32 \(at tensor "output_norm.weight"/],
    [
      'a tensor larger than numbers',
      fakeGguf({ ...tinyLlama, tensors: [{ name: 'huge', shape: [2 ** 40, 2 ** 40], bytes: 4 }] }),
      /impossibly large \(at tensor "huge"/,
    ],
    [
      'an endless text, by its key',
      claims(Buffer.concat([text('general.name'), Buffer.from([8, 0, 0, 0]), u64(2 ** 33)])),
      /\(at "general.name"\)/,
    ],
  ])('refuses %s', async (_, bytes, reason) => {
    const fault = await refusal(bytes);
    expect(fault.code).toBe('BAD_REQUEST');
    expect(fault.message).toMatch(reason);
  });

  it('reads the longest header it allows in bounded time', async () => {
    const empty = Buffer.concat([text('x'), array, Buffer.from([8, 0, 0, 0]), u64(2 ** 22), Buffer.alloc(8 * 2 ** 22)]);
    const began = performance.now();
    expect((await refusal(claims(empty))).message).toMatch(/architecture/);
    expect(performance.now() - began).toBeLessThan(8_000);
  });

  it.each([
    [
      'without a tokenizer',
      { 'tokenizer.ggml.model': undefined },
      /tokenizer is missing \(at "tokenizer.ggml.model"\)/,
    ],
    ['without tokens', { 'tokenizer.ggml.tokens': undefined }, /no tokens \(at "tokenizer.ggml.tokens"\)/],
    ['with both', {}, null],
    ['that says it has none', { 'tokenizer.ggml.model': 'none', 'tokenizer.ggml.tokens': undefined }, null],
  ])('judges the tokenizer of a model %s', async (_, without, reason) => {
    const pairs = Object.entries({ ...tinyLlama.metadata, ...without }).filter(([, value]) => value !== undefined);
    const { metadata } = await read({
      ...tinyLlama,
      metadata: Object.fromEntries(pairs) as NonNullable<FakeGguf['metadata']>,
    });
    const check = () => checkTokenizer(metadata, 'm.gguf');
    if (reason) expect(check).toThrow(reason);
    else check();
  });

  it('says that a file does not exist', async () => {
    await expect(readGguf(join(folder, 'none.gguf'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
