import { describe, expect, it } from 'vitest';
import { buildCatalog } from '#catalog/snapshot';
import type { Catalog } from '#catalog/snapshot';
import type { Json } from '#contracts/driver';
import type { StateStore } from '#contracts/state';
import type { UnitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { oneReplica } from '#scheduler/types';
import { createDirectory } from './directory.ts';
import { nothingLearned, openLearned } from './learned.ts';
import { learnedKey, modelBlueprint, modelSpec, shapeOf } from './model-unit.ts';
import { chosenRun, replicasOf, serviceBlueprint, serviceSpec, silenceOf } from './service-unit.ts';
import type { UnitSettings } from './settings.ts';

const service = (id: string, more: string) =>
  `{ id: ${id}, name: ${id}, summary: A service for tests., homepage: 'https://x.example', license: MIT, category: tool, ${more} }`;
const run = 'run: { process: { command: [node, server.js] } }, health: { tcp: true }, resources: { memory: 64MiB }';
const files = {
  service: {
    web: service('web', `tier: on-demand, ${run}, stop: { grace: 3s }`),
    store: service('store', `tier: persistent, ${run}`),
    many: service('many', `tier: core, ${run.replace('server.js', "'{port}'")}, replicas: { min: 2, max: 3 }`),
    boxed: service(
      'boxed',
      `tier: on-demand, run: { docker: { image: 'a:1', port: 80 } }, health: { tcp: true }, resources: { memory: 1MiB }`,
    ),
    llama: service('llama', `tier: on-demand, kind: engine, ${run}`),
    'llama-server': service('llama-server', `tier: on-demand, kind: engine, ${run}`),
    onnx: service('onnx', `tier: on-demand, kind: engine, models: onnx, ${run}`),
    aider: service(
      'aider',
      `tier: on-demand, kind: job, run: { process: { command: [aider] } }, resources: { memory: 1MiB }`,
    ),
    broken: service('broken', 'tier: sometimes'),
  },
  model: {
    'tiny:1b':
      "{ id: 'tiny:1b', name: Tiny, summary: A model for tests., license: MIT, homepage: 'https://x.example', engine: llama, aliases: [tiny], size: 10MiB, context: 2048, sources: [{ file: { path: /models/tiny.gguf } }] }",
  },
};

function catalogOf(): Catalog {
  const texts = Object.entries(files).flatMap(([kind, byId]) =>
    Object.entries(byId).map(([id, text]) => ({ kind: kind as 'service' | 'model', id, text })),
  );
  return buildCatalog(
    texts.map(({ kind, id, text }) => ({
      ...{ kind, text, origin: 'built-in' as const },
      path: `/catalog/${kind}s/${id.replace(':', '-')}.yaml`,
    })),
  );
}

const settings: UnitSettings = { service: () => ({}), model: () => ({}), defaultModel: 'tiny' };
const catalog = catalogOf();
const directory = createDirectory(
  () => catalog,
  () => settings,
);

describe('the directory', () => {
  it.each([
    ['web', 'service/web'],
    ['service/web', 'service/web'],
    ['tiny', 'model/tiny:1b'],
    ['model/tiny', 'model/tiny:1b'],
    ['default', 'model/tiny:1b'],
  ])('knows %s as %s', (name, id) => expect(directory.unit(name)).toBe(id));

  it.each([
    ['wbe', /No service or model is called wbe\. Did you mean web\?/],
    ['model/tinny', /No model is called tinny\. Did you mean tiny/],
    ['zzzzzz', /`sutaz catalog ls` lists what there is/],
    ['broken', /^broken is disabled: .*broken\.yaml/],
    ['aider', /a job: `sutaz run aider` runs it/],
    ['service/llama', /an engine: ask for one of its models/],
    ['constructor', /is called constructor/],
    ['', /is called/],
  ])('says of %j what it can', (name, message) => {
    expect(() => directory.unit(name)).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }) as Error);
    expect(() => directory.unit(name)).toThrow(message);
  });
});

describe('what the scheduler is told of a service', () => {
  const web = directory.service('web').definition;

  it('is what its tier says, then its definition, then the settings', () => {
    const store = serviceSpec(directory.service('store').definition, {}, nothingLearned, true);
    expect(store).toMatchObject({ idleAfterMs: 1_800_000, idleRung: 'auto', declaredBytes: 64 * 2 ** 20 });
    expect(serviceSpec(web, {}, nothingLearned, true)).toMatchObject({ idleAfterMs: 600_000, idleRung: 'auto' });
    const own = { memory: 5, priority: 9, idle: { after: 1, rung: 'frozen' } } as const;
    expect(serviceSpec(web, own, { ...nothingLearned, bytes: 7, startMs: 8 }, true)).toMatchObject({
      ...{ declaredBytes: 5, learnedBytes: null, priority: 9, idleAfterMs: 1, idleRung: 'frozen', startMs: 8 },
    });
  });

  it('may be frozen to make room where that can be done, by what was learned of it', () => {
    const seen = { ...nothingLearned, frozenBytes: 9, thawMs: 12 };
    expect(serviceSpec(web, {}, seen, true).rungs).toMatchObject({ freezable: true, frozenBytes: 9, thawMs: 12 });
    expect(serviceSpec(web, {}, seen, false).rungs.freezable).toBe(false);
  });

  it('has silent connections that are no work where it says so and can be frozen', () => {
    const asked = { idle: { connections: 'sleep' } } as const;
    expect(silenceOf(web, {}, true)).toBeNull();
    expect(silenceOf(web, asked, true)).toBe(30_000);
    expect(silenceOf(web, { idle: { ...asked.idle, silence: 5 } }, true)).toBe(5);
    expect(silenceOf(web, asked, false)).toBeNull();
    const own = { ...web, idle: { connections: 'sleep', silence: 7 } } as const;
    expect(silenceOf(own, {}, true)).toBe(7);
    expect(silenceOf(own, { idle: { connections: 'keep' } }, true)).toBeNull();
    expect(silenceOf(directory.service('boxed').definition, asked, true)).toBe(30_000);
    expect(silenceOf(own, { ...asked, run: 'external' }, true)).toBeNull();
  });

  it('has the replicas of its settings, then of its definition, where it can have any', () => {
    const many = directory.service('many').definition;
    expect(serviceSpec(many, {}, nothingLearned, true).replicas).toEqual({ min: 2, max: 3 });
    const four = { replicas: { min: 1, max: 4 } };
    expect(serviceSpec(many, four, nothingLearned, true).replicas).toEqual(four.replicas);
    // It is not told its port: what sutaz.yaml asks for cannot be had.
    expect(serviceSpec(web, four, nothingLearned, true).replicas).toEqual(oneReplica);
    expect(replicasOf(web, four).problem).toContain('{port}');
  });

  it('runs a copy as itself under the name of the copy; of what is always on, sooner taken by the kernel', () => {
    const many = directory.service('many');
    const first = serviceBlueprint(many, {}, { home: '/h' });
    const copy = serviceBlueprint(many, {}, { home: '/h', unit: 'service/many~2' as UnitId });
    expect(copy).toEqual({ ...first, unit: 'service/many~2', oomScoreAdj: 200 });
    expect(first.oomScoreAdj).toBe(75);
  });

  it('runs by what this machine can do, or says why not', () => {
    expect(chosenRun(web, {})).toEqual({ way: 'process' });
    expect(chosenRun(web, { run: 'external' })).toMatchObject({ way: null, why: expect.stringContaining('external') });
    const { definition } = directory.service('boxed');
    expect(chosenRun(definition, {})).toEqual({ way: 'docker' });
    expect(chosenRun(definition, {}, 'there is no engine')).toEqual({
      way: null,
      why: 'it can run by docker only, and there is no engine',
    });
    // Asked for by name it is tried: an engine may be started meanwhile.
    expect(chosenRun(definition, { run: 'docker' }, 'there is no engine')).toEqual({ way: 'docker' });
    expect(serviceBlueprint(directory.service('boxed'), {}, { home: '/h' })).toMatchObject({
      ...{ run: { command: [], env: {} }, docker: { image: 'a:1', port: 80 } },
    });
    expect(serviceBlueprint(directory.service('web'), {}, { home: '/h' })).not.toHaveProperty('docker');
  });

  it('has its places and its settings', () => {
    expect(serviceBlueprint(directory.service('web'), { env: { A: '1' } }, { home: '/h' })).toMatchObject({
      ...{ serviceDir: '/catalog/services/web', dataDir: '/h/services/web', stopGraceMs: 3_000, env: { A: '1' } },
      oomScoreAdj: 550,
    });
  });
});

describe('the engine of a model', () => {
  const { definition } = directory.model('tiny');
  const chosen = (own: Partial<UnitSettings>) =>
    createDirectory(
      () => catalog,
      () => ({ ...settings, ...own }),
    ).engineOf(definition).definition.id;

  it('is its own setting, else the general one, else what its definition names', () => {
    expect(chosen({})).toBe('llama');
    expect(chosen({ engine: 'llama-server' })).toBe('llama-server');
    expect(chosen({ engine: 'llama-server', model: () => ({ engine: 'llama' }) })).toBe('llama');
  });

  it('is not the general one where that takes another kind of file', () => {
    expect(chosen({ engine: 'onnx' })).toBe('llama');
    expect(chosen({ engine: 'onnx', model: () => ({ engine: 'onnx' }) })).toBe('onnx');
  });

  it('that nothing is called is NOT_FOUND, with the nearest name; a service is none', () => {
    expect(() => chosen({ engine: 'lama-server' })).toThrow(
      'No engine is called lama-server. Did you mean llama-server?',
    );
    expect(() => chosen({ engine: 'web' })).toThrow('No engine is called web.');
  });
});

describe('what the scheduler is told of a model', () => {
  const model = directory.model('tiny');
  const engine = directory.engine('llama');
  const shape = { context: 2_048, slots: 2 };

  it('is its plan once its file is here, else its size and its engine', () => {
    const facts = { shape, learned: nothingLearned, canFreeze: true };
    const planned = modelSpec(model.definition, engine.definition, {}, { ...facts, plannedBytes: 5 });
    expect(planned).toMatchObject({ declaredBytes: 5, slots: 2 });
    const guessed = modelSpec(model.definition, engine.definition, {}, { ...facts, plannedBytes: null });
    expect(guessed.declaredBytes).toBe(74 * 2 ** 20);
  });

  it('is never frozen where its memory is held by a server elsewhere, and computes nothing where that is another machine', () => {
    const facts = { shape, learned: nothingLearned, canFreeze: true, plannedBytes: 5, threads: 3 };
    const specOf = (more: Partial<typeof engine.definition>, rung?: 'frozen') =>
      modelSpec(model.definition, { ...engine.definition, ...more }, rung ? { idle: { rung } } : {}, facts);
    expect(specOf({})).toMatchObject({ rungs: { freezable: true }, idleRung: 'auto', threads: 3 });
    const ollama = { models: 'remote', weight: { http: '/weight' } } as const;
    expect(specOf(ollama, 'frozen')).toMatchObject({ rungs: { freezable: false }, idleRung: 'cold', threads: 3 });
    expect(specOf({ models: 'remote' })).toMatchObject({ rungs: { freezable: true }, threads: 0 });
  });

  it('is loaded in its own shape, and what was learned belongs to that shape', () => {
    const general = { ...settings, context: 512, slots: 3 };
    expect(shapeOf(model.definition, {}, settings)).toMatchObject({ context: 2_048 });
    expect(shapeOf(model.definition, { context: 1_024 }, general)).toEqual({ context: 1_024, slots: 3 });
    // No more than an ONNX model was made for.
    expect(shapeOf(model.definition, { context: 9_999 }, general, 'onnx').context).toBe(2_048);
    const key = learnedKey(model.definition, 'llama', shape);
    expect(learnedKey(model.definition, 'llama', { ...shape, slots: 3 })).not.toBe(key);
    expect(learnedKey(model.definition, 'llama-server', shape)).not.toBe(key);
    const facts = { shape, path: '/m.gguf', threads: 1 };
    const { values, oomScoreAdj } = modelBlueprint(model, engine, facts, '/h');
    expect(oomScoreAdj).toBe(800 - 5 * model.definition.priority);
    expect(modelBlueprint(model, engine, { ...facts, priority: 100 }, '/h').oomScoreAdj).toBe(300);
    expect(values).toMatchObject({
      'model.path': '/m.gguf',
      'model.context': '2048',
      'model.tokens': '4096',
      threads: '1',
    });
  });
});

describe('what was learned', () => {
  function bench() {
    const rows = new Map<string, Json>();
    let writes = 0;
    const disk = { full: false };
    const table = <T extends Json>() => ({
      get: (key: string) => (rows.get(key) as T | undefined) ?? null,
      put(key: string, value: T) {
        if (disk.full) throw new Error('database or disk is full');
        writes++;
        rows.set(key, value);
      },
      delete: (key: string) => void rows.delete(key),
      list: () => [...rows].map(([key, value]) => ({ key, value: value as T })),
    });
    const store: StateStore = { table, close: async () => undefined };
    return { store, learned: openLearned(store, silentLogger), writes: () => writes, disk };
  }

  it('is written when it moved by a hundredth, and is there after a restart', () => {
    const { store, learned, writes } = bench();
    learned.put('a', { ...nothingLearned, bytes: 1_000, startMs: null });
    learned.put('a', { ...nothingLearned, bytes: 1_010, startMs: null });
    expect(writes()).toBe(1);
    learned.put('a', { ...nothingLearned, bytes: 1_011, startMs: 5 });
    expect(openLearned(store, silentLogger).of('a')).toEqual({ ...nothingLearned, bytes: 1_011, startMs: 5 });
    expect(learned.of('b')).toEqual(nothingLearned);
  });

  it('regression: is known on a full disk, and written once there is room', () => {
    const { store, learned, disk } = bench();
    disk.full = true;
    learned.put('a', { ...nothingLearned, bytes: 1_000 });
    expect(learned.of('a').bytes).toBe(1_000);
    disk.full = false;
    learned.put('a', { ...nothingLearned, bytes: 1_000 });
    expect(openLearned(store, silentLogger).of('a').bytes).toBe(1_000);
  });

  it('regression: is not forgotten while one of the two is not known', () => {
    const { learned } = bench();
    learned.put('a', { ...nothingLearned, bytes: 1_000, startMs: 5 });
    learned.put('a', { ...nothingLearned, bytes: null, startMs: 500 });
    expect(learned.of('a')).toEqual({ ...nothingLearned, bytes: 1_000, startMs: 500 });
  });
});
