import { describe, expect, it } from 'vitest';
import { offloadOf, planOffload } from './offload.ts';
import { planMemory } from './plan.ts';
import type { PlannedModel } from './plan.ts';

const MiB = 2 ** 20;
const layers = 4;
const tensor = (name: string, bytes: number) => ({ name, shape: [64, 64], type: 0, offset: 0, bytes });

function model(extra: readonly ReturnType<typeof tensor>[]): PlannedModel {
  const blocks = Array.from({ length: layers }, (_, i) => tensor(`blk.${i}.ffn_up.weight`, 100 * MiB));
  const tensors = [tensor('token_embd.weight', 50 * MiB), ...blocks, ...extra];
  const tensorBytes = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    ...{ fileBytes: tensorBytes, tensorBytes, tensors, slidingWindow: undefined, vocabSize: 1024, contextLength: 4096 },
    layers: Array.from({ length: layers }, () => ({ kvHeads: 4, sliding: false })),
    ...{ embeddingLength: 64, feedForwardLength: 256, headCount: 4, keyLength: 16, valueLength: 16 },
    ...{ architecture: 'llama', metadata: { number: () => undefined } as unknown as PlannedModel['metadata'] },
  };
}

const options = { contextPerSlot: 4096, slots: 2, batch: 32 };
const own = model([tensor('output.weight', 50 * MiB), tensor('output_norm.weight', MiB)]);

describe('layers on a graphics card', () => {
  it('nothing there leaves everything in main memory', () => {
    const { total } = planMemory(own, options);
    expect(offloadOf(own, options, 0)).toEqual({ layers: 0, whole: false, ramBytes: total, vramBytes: 0 });
  });

  it('the output goes first, then each layer with its cache', () => {
    const cache = (planMemory(own, options).kv / layers) | 0;
    const ram = [0, 1, 2, 5].map((count) => offloadOf(own, options, count).ramBytes);
    expect((ram[0] ?? 0) - (ram[1] ?? 0)).toBe(51 * MiB);
    expect((ram[1] ?? 0) - (ram[2] ?? 0)).toBe(100 * MiB + cache);
    const vram = [1, 2, 5].map((count) => offloadOf(own, options, count).vramBytes);
    expect((vram[1] ?? 0) - (vram[0] ?? 0)).toBe(100 * MiB + cache);
    expect(vram[2]).toBe((vram[0] ?? 0) + 4 * (100 * MiB + cache));
  });

  it('a table of tokens that is the output too is on the card and in main memory', () => {
    const tied = model([tensor('output_norm.weight', MiB)]);
    const [none, one] = [offloadOf(tied, options, 0), offloadOf(tied, options, 1)];
    expect(none.ramBytes - one.ramBytes).toBe(MiB);
    expect(one.vramBytes - offloadOf(own, options, 1).vramBytes).toBe(0);
  });

  it('takes as many layers as fit, and none for the output alone', () => {
    const needs = (count: number) => offloadOf(own, options, count).vramBytes;
    expect(planOffload(own, options, needs(5))).toMatchObject({ layers: 5, whole: true });
    expect(planOffload(own, options, needs(5) - 1)).toMatchObject({ layers: 4, whole: false });
    expect(planOffload(own, options, needs(2))).toMatchObject({ layers: 2 });
    expect(planOffload(own, options, needs(2) - 1)).toMatchObject({ layers: 0, vramBytes: 0 });
    expect(planOffload(own, options, 1e12).layers).toBe(5);
  });

  it('leaves a file alone of which it cannot be said what its layers weigh', () => {
    const strange = { ...own, tensors: [...own.tensors, { ...tensor('blk.0.x', 1), bytes: null }] };
    expect(planOffload(strange, options, 1e12).layers).toBe(0);
  });
});
