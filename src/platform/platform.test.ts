import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { edgesOf } from '#catalog/bindings';
import type { ServiceDefinition } from '#catalog/service';
import type { ApiEvent } from '#contracts/api';
import { configSchema } from '#config/static';
import type { StateStore } from '#contracts/state';
import { memoryState } from '#contracts/state.fake';
import { fakeClock } from '#kernel/clock.fake';
import { createClosers } from '#kernel/closers';
import { replicaId, unitId } from '#kernel/ids';
import type { InstanceId, UnitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import type { ModelStore } from '#models/store';
import { openHome } from '#runtime/home';
import type { Home } from '#runtime/home';
import type { Supervisor } from '#runtime/supervisor';
import type { Scheduler } from '#scheduler/run-loop';
import type { Units } from '#units/units';
import { openIdentity } from './identity.ts';
import { scopesOfInstance } from './instance-rights.ts';
import type { Needs } from './needs.ts';
import { outcomesFor } from './outcomes.ts';
import { createReporter } from './reporter.ts';
import { overHttp2, policyOf } from './policies.ts';
import { targetOf } from './targets.ts';

const model = unitId('model', 'm');
const service = unitId('service', 's');

describe('the first key', () => {
  let folder: string;
  let home: Home;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sutaz-identity-'));
    home = await openHome(folder);
  });
  afterEach(async () => {
    await home.release();
    await rm(folder, { recursive: true });
  });
  const open = (state: StateStore) => {
    const config = { current: () => configSchema.parse({}), onChange: () => () => undefined };
    return openIdentity({ state, home, config, clock: fakeClock(), log: silentLogger }, createClosers());
  };
  const key = async () => (await readFile(home.keyFile, 'utf8')).trim();

  it('is made once, readable by its owner only, and stays', async () => {
    const state = memoryState();
    const identity = await open(state);
    const first = await key();
    expect(identity.verifyKey(first)).toMatchObject({ roles: ['admin'] });
    expect((await stat(home.keyFile)).mode & 0o777).toBe(0o600);
    await open(state);
    expect(await key()).toBe(first);
  });

  it('is made anew when its file is gone or says something else, and the old one is void', async () => {
    const state = memoryState();
    await open(state);
    const first = await key();
    await writeFile(home.keyFile, 'sutaz-made-up\n');
    const identity = await open(state);
    expect([identity.verifyKey(first), identity.verifyKey('sutaz-made-up')]).toEqual([null, null]);
    expect(identity.verifyKey(await key())).toMatchObject({ roles: ['admin'] });
  });
});

describe('the first key, rotated', () => {
  it('is written to its file, so that the command line goes on', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sutaz-identity-'));
    const home = await openHome(folder);
    try {
      const config = { current: () => configSchema.parse({}), onChange: () => () => undefined };
      const deps = { state: memoryState(), home, config, clock: fakeClock(), log: silentLogger };
      const identity = await openIdentity(deps, createClosers());
      const first = (await readFile(home.keyFile, 'utf8')).trim();
      const owner = identity.verifyKey(first);
      if (!owner?.keyId) throw new Error('no owner');
      const { key } = await identity.desk.rotate(owner, owner.keyId, '0s');
      expect(await readFile(home.keyFile, 'utf8')).toBe(`${key}\n`);
      expect([identity.verifyKey(first), identity.verifyKey(key)?.id]).toEqual([null, 'admin']);
      const again = await openIdentity(deps, createClosers());
      expect(again.verifyKey(key)?.id).toBe('admin');
    } finally {
      await home.release();
      await rm(folder, { recursive: true });
    }
  });
});

describe('where requests go', () => {
  const supervisor = { endpoint: () => ({ host: '127.0.0.1', port: 5, key: 'secret' }) } as unknown as Supervisor;

  it('what speaks HTTP/2 is asked that way, with TLS where it runs elsewhere', () => {
    expect(targetOf(supervisor, () => 'h2c')(service)?.origin).toBe('h2c://127.0.0.1:5');
    const originOf = (url: string) =>
      overHttp2(policyOf({ elsewhere: { url }, settings: {} })).places[0]?.target.origin;
    expect(originOf('http://box.example:6334')).toBe('h2c://box.example:6334');
    expect(originOf('https://box.example/base')).toBe('h2://box.example');
  });

  it('an engine is shown its key, a service is not', () => {
    expect(targetOf(supervisor)(model)?.key).toBe('secret');
    expect(targetOf(supervisor)(service)).toEqual({
      origin: 'http://127.0.0.1:5',
      basePath: '',
      key: null,
    });
  });

  it('what runs elsewhere keeps its path, and what does not run has no place', () => {
    const { places } = policyOf({ elsewhere: { url: 'https://box.example/base/' }, settings: {} });
    expect(places.map(({ target }) => target)).toEqual([
      { origin: 'https://box.example', basePath: '/base', key: null },
    ]);
    const h2c = policyOf({ elsewhere: { url: 'http://box.example', protocol: 'h2c' }, settings: {} });
    expect(h2c.places[0]?.target.origin).toBe('h2c://box.example');
    const nothing = { endpoint: () => null } as unknown as Supervisor;
    expect(targetOf(nothing)(model)).toBeNull();
  });
});

it('an instance has its identity, its file and what it needs for as long as it lives', () => {
  const told: string[] = [];
  const usedFiles = new Map();
  const outcomes = outcomesFor({
    scheduler: {
      state: {
        units: new Map([[model, { learnedBytes: 7, startMs: 8, frozenBytes: 5, thawMs: 6, card: { learned: 4 } }]]),
      },
      dispatch: ({ kind }: { kind: string }) => told.push(kind),
    } as unknown as Scheduler,
    units: {
      learn: (unit: string, facts: object) => told.push(`learn ${unit} ${Object.values(facts).join(' ')}`),
    } as unknown as Units,
    identity: {
      minted: { mint: () => told.push('mint'), withdraw: () => told.push('withdraw') },
    } as unknown as Parameters<typeof outcomesFor>[0]['identity'],
    store: { get: () => ({ sha256: 'abc' }) } as unknown as ModelStore,
    needs: {
      give: () => told.push('give'),
      lost: () => told.push('lost'),
      returned: () => told.push('returned'),
    } as unknown as Needs,
    addresses: { started: () => told.push('addresses') },
    usedFiles,
    scopesOf: () => [],
  });
  const id = 'i-1' as InstanceId;
  outcomes.begun({ id, unit: model, handle: null, host: '', port: 1, key: 'k', startedAt: '' });
  expect([...usedFiles]).toEqual([[model, 'abc']]);
  outcomes.started(model);
  outcomes.ended(model);
  outcomes.stopped(model);
  expect(usedFiles.size).toBe(0);
  const learn = `learn ${model} 7 8 5 6 4`;
  outcomes.exited(model, 'killed');
  const started = ['mint', 'started', learn, 'returned', 'addresses'];
  expect(told).toEqual([...started, 'withdraw', 'give', 'stopped', learn, 'exited', 'lost']);
});

describe('what an instance may', () => {
  const definition = (id: string, more: Partial<ServiceDefinition> = {}) =>
    ({ id, kind: 'server', consumes: {}, needs: [], provides: [], run: {}, ...more }) as unknown as ServiceDefinition;
  const all = [
    definition('plain'),
    definition('flow', { consumes: { openai: {}, 'vectors.x': {} }, needs: ['postgres'] }),
    definition('postgres'),
    definition('chroma', { provides: ['vectors.x'] }),
    definition('graphs', { consumes: { metrics: {} } }),
    definition('ui', { run: { process: { command: ['ui', '--api', '{openai.url}'] } } as never }),
  ];
  const services = new Map(all.map((one) => [one.id, one]));
  const edges = (id: string) => edgesOf(services.get(id) as ServiceDefinition, all);
  it.each([
    ['service/plain', []],
    ['service/flow', ['models:use', 'services:use:postgres', 'services:use:chroma']],
    ['service/graphs', ['metrics:read']],
    ['service/ui', ['models:use']],
    ['service/gone', []],
    ['model/m', []],
  ])('%s: %j', (unit, scopes) => expect(scopesOfInstance(unit as UnitId, services, edges)).toEqual(scopes));
});

it('copies use the file of their unit, and speak for it: they are one principal', () => {
  const usedFiles = new Map();
  const minted: unknown[] = [];
  const outcomes = outcomesFor({
    scheduler: { state: { units: new Map() }, dispatch: () => undefined } as unknown as Scheduler,
    units: {} as unknown as Units,
    identity: {
      minted: {
        mint: (holder: string, { id }: { id: string }) => minted.push([holder, id]),
        withdraw: () => undefined,
      },
    } as unknown as Parameters<typeof outcomesFor>[0]['identity'],
    store: { get: (name: string) => (model === `model/${name}` ? { sha256: 'abc' } : null) } as unknown as ModelStore,
    needs: { give: () => undefined } as unknown as Needs,
    addresses: { started: () => undefined },
    usedFiles,
    scopesOf: () => [],
  });
  const copy = replicaId(model, 2);
  const record = { id: 'i-1' as InstanceId, handle: null, host: '', port: 1, key: 'k', startedAt: '' };
  for (const unit of [model, copy]) outcomes.begun({ ...record, unit });
  expect(minted).toEqual([
    [model, model],
    [copy, model],
  ]);
  outcomes.ended(copy);
  expect([...usedFiles]).toEqual([[model, 'abc']]);
});

it('the reporter tells what happens to units and counts it, and says nothing of single requests', () => {
  const told: ApiEvent[] = [];
  const reporter = createReporter({ log: silentLogger, clock: fakeClock(), tell: (event) => told.push(event) });
  reporter.effect({ kind: 'start', unit: service, bytes: 2 ** 20 });
  reporter.event({ kind: 'started', unit: service });
  reporter.effect({
    kind: 'stop',
    unit: service,
    reason: { code: 'evicted', for: model, bytes: 5, costMs: 1, sums: [] },
  });
  reporter.event({ kind: 'tick' });
  reporter.event({ kind: 'measured', unit: service, bytes: 1 });
  expect(told.map(({ type }) => type)).toEqual(['start', 'ready', 'evict']);
  expect(told[0]).toMatchObject({ unit: service, at: '2023-11-14T22:13:20.000Z' });
  expect([...reporter.counts]).toEqual([
    ['start', 1],
    ['ready', 1],
    ['evict', 1],
  ]);
});
