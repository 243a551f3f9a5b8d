/** What the scheduler and the engine are told of what is on a graphics card. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildCatalog } from '#catalog/snapshot';
import { fakeClock } from '#kernel/clock.fake';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { tinyLlama, writeFakeGguf } from '#models/gguf.fake';
import { offloadOf } from '#models/offload';
import { createDirectory } from './directory.ts';
import { nothingLearned } from './learned.ts';
import type { Learned } from './learned.ts';
import type { Card } from './placement.ts';
import type { UnitSettings } from './settings.ts';
import { createUnits } from './units.ts';

const GiB = 2 ** 30;
const tiny = unitId('model', 'tiny:1b');
const about = "summary: A thing for tests., homepage: 'https://x.example', license: MIT";
const process =
  "run: { process: { node: { packages: [e@1.0.0], platforms: { linux-x64: [c@1.0.0], linux-x64-cuda: [g@1.0.0] } }, command: [node, '{model.gpuLayers}'] } }";
const texts = {
  'service/llama': `{ id: llama, name: L, ${about}, category: inference, kind: engine, ${process}, resources: { memory: 1MiB, gpu: optional } }`,
  'service/needs': `{ id: needs, name: N, ${about}, category: tool, run: { process: { command: [x] } }, resources: { memory: 1MiB, gpu: required, vram: 2GiB } }`,
  'service/may': `{ id: may, name: M, ${about}, category: tool, run: { process: { command: [x] } }, resources: { memory: 1MiB, gpu: optional, vram: 2GiB } }`,
  'model/tiny': `{ id: 'tiny:1b', name: T, ${about}, engine: llama, size: 1MiB, context: 512, slots: 1, sources: [{ file: { path: /t.gguf } }] }`,
};

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sutaz-cards-'));
  path = join(folder, 'tiny.gguf');
  const blocks = [0, 1].map((i) => ({ name: `blk.${i}.ffn_up.weight`, shape: [64, 128] }));
  await writeFakeGguf(path, { ...tinyLlama, tensors: [...(tinyLlama.tensors ?? []), ...blocks] });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const card = (limitBytes: number): Card => ({ id: 'gpu0', uuid: 'GPU-0', limitBytes });

async function unitsWith(cards: readonly Card[], more: Partial<UnitSettings> = {}) {
  const files = Object.entries(texts).map(([name, text]) => {
    const [kind, id] = name.split('/') as ['service' | 'model', string];
    return { kind, text, origin: 'built-in' as const, path: `/catalog/${kind}s/${id}.yaml` };
  });
  const catalog = buildCatalog(files);
  const settings: UnitSettings = { service: () => ({}), model: () => ({}), defaultModel: 'tiny:1b', ...more };
  const rows = new Map<string, Learned>();
  const stored = { path, sha256: 'a', bytes: 1, source: '', pulledAt: 0, name: 'tiny:1b' };
  const refuse = () => Promise.reject(new Fault('NOT_SUPPORTED', 'not here'));
  let now = cards;
  const units = createUnits({
    ...{
      catalog: () => catalog,
      settings: () => settings,
      clock: fakeClock(),
      log: silentLogger,
      home: '/h',
      cores: 4,
    },
    directory: createDirectory(
      () => catalog,
      () => settings,
    ),
    ...{ store: { get: () => stored as never }, puller: { pull: refuse }, environments: { ensure: refuse } },
    ...{ canFreeze: false, describe: () => undefined, cards: () => now },
    learned: { of: (key) => rows.get(key) ?? nothingLearned, put: (key, learned) => void rows.set(key, learned) },
  });
  await units.plans.refresh('tiny:1b');
  const spec = (id = tiny) => units.specs().find((one) => one.id === id);
  return { units, spec, become: (next: readonly Card[]) => void (now = next) };
}

it('without a card everything stays as it is', async () => {
  const { spec, units } = await unitsWith([]);
  expect(spec()).toMatchObject({ vram: undefined, threads: 3, learnedAs: 'model/tiny:1b?context=512&slots=1' });
  expect(spec()?.declaredBytes).toBe(units.plans.of('tiny:1b')?.plan.total);
  expect(units.unusable('needs')).toBe('it needs a GPU');
  expect(spec(unitId('service', 'may'))?.vram).toBeUndefined();
  const { values, env } = await units.blueprint(tiny);
  expect([values['model.gpuLayers'], env]).toEqual(['0', {}]);
});

it('as many layers are on the card as fit, the engine is told how many, and its packages are those for cards', async () => {
  const { spec, units, become } = await unitsWith([card(8 * GiB)]);
  const planned = units.plans.of('tiny:1b');
  if (!planned) throw new Error('no plan');
  const of = (layers: number) => offloadOf(planned.header, planned.options, layers);
  expect(spec()).toMatchObject({ declaredBytes: of(3).ramBytes, vram: { device: 'gpu0', bytes: of(3).vramBytes } });
  expect(spec()).toMatchObject({ threads: 1, learnedAs: 'model/tiny:1b?context=512&slots=1&gpu=3@gpu0' });
  const { values, env, run } = await units.blueprint(tiny);
  expect(values).toMatchObject({ 'model.gpuLayers': '3', threads: '1' });
  expect(env).toEqual({ CUDA_VISIBLE_DEVICES: 'GPU-0' });
  expect(run.node?.packages).toEqual(
    globalThis.process.platform === 'linux' && globalThis.process.arch === 'x64' ? ['e@1.0.0', 'g@1.0.0'] : ['e@1.0.0'],
  );
  become([card(of(2).vramBytes)]);
  expect(spec()).toMatchObject({ vram: { bytes: of(2).vramBytes }, threads: 3 });
  become([card(of(2).vramBytes - 1)]);
  expect(spec()).toMatchObject({ vram: undefined, declaredBytes: planned.plan.total });
  expect((await units.blueprint(tiny)).env).toEqual({ CUDA_VISIBLE_DEVICES: '' });
});

it('what was measured there before overrules the plan', async () => {
  const { spec, units } = await unitsWith([card(8 * GiB)]);
  spec();
  units.learn(tiny, { ...nothingLearned, vramBytes: 9 * GiB });
  expect(spec()?.learnedAs).toBe('model/tiny:1b?context=512&slots=1&gpu=2@gpu0');
});

it('off keeps a model away from cards, and required from running without', async () => {
  expect((await unitsWith([card(8 * GiB)], { gpu: 'off' })).spec()?.vram).toBeUndefined();
  const own = { gpu: 'off' as const, model: () => ({ gpu: 'auto' as const }) };
  expect((await unitsWith([card(8 * GiB)], own)).spec()?.vram).toBeDefined();
  const needs = (await unitsWith([card(1)], { gpu: 'required' })).spec()?.vram;
  expect(needs?.bytes).toBeGreaterThan(1);
  expect((await unitsWith([], { gpu: 'required' })).spec()?.vram?.bytes).toBe(needs?.bytes);
});

it('a service is put on a card that is large enough', async () => {
  const { spec, units } = await unitsWith([card(3 * GiB)]);
  for (const name of ['needs', 'may']) {
    expect(spec(unitId('service', name))?.vram).toEqual({ device: 'gpu0', bytes: 2 * GiB });
  }
  expect((await units.blueprint(unitId('service', 'may'))).env).toEqual({ CUDA_VISIBLE_DEVICES: 'GPU-0' });
  const small = await unitsWith([card(GiB)]);
  expect(small.spec(unitId('service', 'may'))?.vram).toBeUndefined();
  expect(small.spec(unitId('service', 'needs'))?.vram?.bytes).toBe(2 * GiB);
});
