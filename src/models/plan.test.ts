import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeFakeGguf } from './gguf.fake.ts';
import type { FakeTensor, FakeValue } from './gguf.fake.ts';
import { readGguf } from './gguf.ts';
import type { Gguf } from './gguf.ts';
import { largestContext, planMemory } from './plan.ts';

const MiB = 2 ** 20;
let folder: string;
let smollm: Gguf;
let gemma: Gguf;

/** A header with a real model's numbers; of its tensors only what the test needs. */
const header = async (architecture: string, numbers: Record<string, number>, tensors: readonly FakeTensor[] = []) => {
  const file = join(folder, `${architecture}.gguf`);
  const metadata: Record<string, FakeValue> = { 'general.architecture': architecture };
  for (const [key, value] of Object.entries(numbers)) metadata[`${architecture}.${key}`] = value;
  await writeFakeGguf(file, { metadata, tensors });
  return readGguf(file);
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plan-'));
  smollm = await header('llama', {
    block_count: 30,
    context_length: 8192,
    embedding_length: 576,
    feed_forward_length: 1536,
    'attention.head_count': 9,
    'attention.head_count_kv': 3,
    vocab_size: 49_152,
  });
  gemma = await header('gemma3', {
    block_count: 18,
    context_length: 32_768,
    embedding_length: 640,
    feed_forward_length: 2048,
    'attention.head_count': 4,
    'attention.head_count_kv': 1,
    'attention.key_length': 256,
    'attention.value_length': 256,
    'attention.sliding_window': 512,
    vocab_size: 262_144,
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('planMemory', () => {
  // The right-hand column is what llama.cpp's own log says of its KV buffers.
  it.each([
    [1024, 1, 'f16', 22.5],
    [2048, 1, 'f16', 45],
    [4096, 2, 'f16', 180],
    [8192, 4, 'f16', 720],
    [4096, 2, 'q8_0', 95.625],
  ] as const)(
    'gives SmolLM2 the cache llama.cpp allocates: %i tokens, %i slots, %s',
    (contextPerSlot, slots, kvType, size) => {
      expect(planMemory(smollm, { contextPerSlot, slots, kvType }).kv).toBe(size * MiB);
    },
  );

  it.each([
    [1024, 1, 3 + 15],
    [2048, 2, 12 + 37.5],
    [4096, 2, 24 + 37.5],
    [8192, 4, 96 + 75],
    [32_768, 1, 96 + 18.75],
  ] as const)('gives Gemma 3 the cache llama.cpp allocates: %i tokens, %i slots', (contextPerSlot, slots, size) => {
    expect(planMemory(gemma, { contextPerSlot, slots }).kv).toBe(size * MiB);
  });

  it('keeps every token of every layer when the window is not used to save', () => {
    const options = { contextPerSlot: 32_768, slots: 1 };
    expect(planMemory(gemma, { ...options, fullWindowCache: true }).kv).toBe(6 * 96 * MiB);
  });

  it('counts rearranged tensors twice only while the file is mapped as well', async () => {
    const q4k = { type: 12, bytes: 8 * 144 };
    const model = await header('qwen2', { block_count: 1 }, [
      { name: 'token_embd.weight', shape: [256, 8], ...q4k },
      { name: 'blk.0.ffn_up.weight', shape: [256, 8], ...q4k },
      { name: 'blk.0.odd.weight', shape: [256, 7], type: 12, bytes: 7 * 144 },
    ]);
    const weights = (options: object) => planMemory(model, { contextPerSlot: 256, slots: 1, ...options }).weights;
    const once = 23 * 144;
    expect(weights({})).toBe(once + 8 * 144);
    expect(weights({ mmap: false })).toBe(once);
    expect(weights({ repack: false })).toBe(once);
  });

  it('adds the scores of all heads without flash attention', () => {
    const options = { contextPerSlot: 2048, slots: 1 };
    const without = planMemory(smollm, { ...options, flashAttention: false }).compute;
    expect(without - planMemory(smollm, options).compute).toBe(512 * 2048 * (9 * 4 + 2));
  });

  it('never asks for less when more is wanted', () => {
    const options = fc.record({
      contextPerSlot: fc.integer({ min: 1, max: 32_768 }),
      slots: fc.integer({ min: 1, max: 16 }),
      batch: fc.integer({ min: 1, max: 2048 }),
    });
    const more = fc.record({ context: fc.nat(4096), slots: fc.nat(4), batch: fc.nat(512) });
    fc.assert(
      fc.property(options, more, (asked, extra) => {
        const grown = {
          contextPerSlot: asked.contextPerSlot + extra.context,
          slots: asked.slots + extra.slots,
          batch: asked.batch + extra.batch,
        };
        for (const model of [smollm, gemma]) {
          expect(planMemory(model, grown).total).toBeGreaterThanOrEqual(planMemory(model, asked).total);
        }
      }),
    );
  });
});

describe('largestContext', () => {
  it('finds the last context that fits, or the one it was trained for', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 4000 }), fc.integer({ min: 1, max: 8 }), (mebibytes, slots) => {
        for (const model of [smollm, gemma]) {
          const found = largestContext(model, mebibytes * MiB, { slots });
          const total = (contextPerSlot: number) => planMemory(model, { contextPerSlot, slots }).total;
          if (found !== null) expect(total(found)).toBeLessThanOrEqual(mebibytes * MiB);
          if ((found ?? 0) < model.contextLength) expect(total((found ?? 0) + 256)).toBeGreaterThan(mebibytes * MiB);
        }
      }),
    );
  });

  it('says that nothing fits', () => {
    expect(largestContext(gemma, 10 * MiB, { slots: 1 })).toBeNull();
  });
});
