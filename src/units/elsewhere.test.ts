/** What an engine's process is told where the engine, or the folder of its models, is somewhere else. */
import { expect, it } from 'vitest';
import { buildCatalog } from '#catalog/snapshot';
import { fakeClock } from '#kernel/clock.fake';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { createDirectory } from './directory.ts';
import { nothingLearned } from './learned.ts';
import type { UnitSettings } from './settings.ts';
import { createUnits } from './units.ts';

const service = (id: string, more: string) =>
  `{ id: ${id}, name: N, summary: S, category: inference, kind: engine, resources: { memory: 1MiB }, ${more} }`;
const model = (id: string, more: string) => `{ id: '${id}', name: N, summary: S, size: 1MiB, ${more} }`;
const texts = {
  'service/upstream': service(
    'upstream',
    "models: remote, run: { process: { command: [node, '{service}/server.ts'], env: { URL: '{model.url}' } } }, health: { http: /health }",
  ),
  'service/vllm': service('vllm', "models: remote, run: { external: { url: 'http://192.0.2.7:8000' } }"),
  'service/viewer': service('viewer', "run: { process: { command: [serve, '{view.ollama}', '{model.id}'] } }"),
  'model/far': model('far:1b', 'engine: vllm, remote: { model: Far/1B }'),
  'model/farther': model('farther:1b', "engine: vllm, remote: { url: 'http://192.0.2.8:1' }"),
  'service/many': service(
    'many',
    "models: remote, run: { external: { upstreams: [{ url: 'http://192.0.2.1:1/v1' }, { url: 'http://192.0.2.2:1' }], balance: latency, hedge: true } }",
  ),
  'model/spread': model('spread:1b', 'engine: many'),
  'model/own': model(
    'own:1b',
    "engine: vllm, remote: { model: Own/1B, keyEnv: ALL, retry: { tries: 2 }, upstreams: [{ url: 'http://192.0.2.3:1/base/v1/', weight: 3 }, { url: 'http://192.0.2.4:1', keyFile: /k }] }",
  ),
  'model/near': model('near:1b', 'engine: viewer, sources: [{ file: { path: /t.gguf } }]'),
};

function unitsOf(seen: string[] = []) {
  const files = Object.entries(texts).map(([name, text]) => {
    const [kind, id] = name.split('/') as ['service' | 'model', string];
    return { kind, text, origin: 'built-in' as const, path: `/catalog/${kind}s/${id}.yaml` };
  });
  const catalog = buildCatalog(files);
  expect(catalog.disabled).toEqual([]);
  const settings: UnitSettings = { service: () => ({}), model: () => ({}), defaultModel: 'near:1b' };
  const stored = { path: '/m.gguf', sha256: 'a', bytes: 1, source: '', pulledAt: 0, name: 'near:1b' };
  const refuse = () => Promise.reject(new Fault('NOT_SUPPORTED', 'not here'));
  return createUnits({
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
    ...{ store: { get: () => stored as never }, puller: { pull: refuse }, canFreeze: false, describe: () => undefined },
    environments: { ensure: () => Promise.resolve(null) },
    view: (kind, id) => Promise.resolve((seen.push(`${kind} ${id}`), `/h/models/views/${kind}`)),
    learned: { of: () => nothingLearned, put: () => undefined },
  });
}

const { signal } = new AbortController();

it('an engine that runs elsewhere already is stood for by the process that passes requests on, under its own address', async () => {
  const units = unitsOf();
  const far = unitId('model', 'far:1b');
  await units.preparing.run(far, signal);
  const blueprint = await units.blueprint(far, signal);
  expect(blueprint).toMatchObject({
    run: { command: ['node', '{service}/server.ts'] },
    ...{ serviceDir: '/catalog/services/upstream', health: { http: '/health' } },
    values: { 'model.url': 'http://192.0.2.7:8000', 'model.remote': 'Far/1B' },
  });
  const { values } = await units.blueprint(unitId('model', 'farther:1b'), signal);
  expect(values['model.url']).toBe('http://192.0.2.8:1');
});

it('a view is made of the model when its engine is started with it, and not to stop it', async () => {
  const seen: string[] = [];
  const units = unitsOf(seen);
  const near = unitId('model', 'near:1b');
  await units.blueprint(near);
  expect(seen).toEqual([]);
  expect((await units.blueprint(near, signal)).values).toMatchObject({ 'view.ollama': '/h/models/views/ollama' });
  expect(seen).toEqual(['ollama near:1b']);
});

it('a model at several servers is asked there by the door: it is no unit here, and its own servers go before those of its engine', () => {
  const units = unitsOf();
  expect(units.specs().map(({ id }) => id)).toEqual(['model/far:1b', 'model/farther:1b', 'model/near:1b']);
  expect(units.remote('near:1b') ?? units.remote('far:1b') ?? units.remote('gone:1b')).toBe(null);
  expect(units.externalUrl(unitId('model', 'spread:1b'))).toBe('http://192.0.2.1:1');
  expect(units.remote('spread:1b')).toEqual({
    model: 'spread:1b',
    places: {
      balance: 'latency',
      upstreams: [
        { url: 'http://192.0.2.1:1', weight: 1 },
        { url: 'http://192.0.2.2:1', weight: 1 },
      ],
    },
  });
  expect(units.remote('own:1b')).toEqual({
    model: 'Own/1B',
    places: {
      retry: { tries: 2 },
      upstreams: [
        { url: 'http://192.0.2.3:1/base', weight: 3, keyEnv: 'ALL' },
        { url: 'http://192.0.2.4:1', weight: 1, keyFile: '/k' },
      ],
    },
  });
});
