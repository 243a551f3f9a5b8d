/** Every call of the control API on a real platform: what it answers is what docs/openapi.json says it answers. */
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '#clients/sdk';
import type { Client } from '#clients/sdk';
import { operation, operationIds } from '#contracts/operations';
import type { OperationId, WireName } from '#contracts/operations';
import { isRecord } from '#kernel/json';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { exited, until } from './_processes.ts';

const tool = `id: say
name: Say
summary: Says a word
category: tool
kind: job
run: { process: { command: [node, -e, 'console.log(1)'] } }
resources: { memory: 64MiB }
`;

let home: string;
let platform: TestPlatform;
let client: Client;
let errorsOf: (name: WireName, value: unknown) => unknown;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'sutaz-openapi-'));
  const model = `{ id: 'tiny:1', name: Tiny, summary: For a test., size: 98MiB, sources: [{ file: { path: '${process.env.SUTAZ_TEST_MODEL}' } }] }`;
  platform = await startPlatform({
    home,
    catalog: {
      'services/one.yaml': echoService('one', { dir: join(root, 'test'), delayMs: 600 }),
      'services/broken.yaml': 'id: broken\n',
      'services/say.yaml': tool,
      'models/tiny.yaml': model,
    },
  });
  client = createClient({ url: platform.url, key: platform.key });
  errorsOf = await checker(await (await fetch(`${platform.url}/sutaz/v1/openapi.json`)).text());
});
afterAll(async () => {
  await platform?.stop();
  await rm(home, { recursive: true, force: true });
});

/** By the description that the platform serves. Its objects are closed here, so that a key that it does not tell of is found. */
async function checker(text: string): Promise<typeof errorsOf> {
  expect(text).toBe(await readFile(join(root, 'docs/openapi.json'), 'utf8'));
  const document = JSON.parse(text) as object;
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addSchema(closed(document) as object, 'openapi');
  return (name, value) => {
    const check = ajv.compile({ $ref: `openapi#/components/schemas/${name}` });
    return check(value) ? [] : check.errors;
  };
}

function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (!isRecord(value)) return value;
  const own = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, closed(one)]));
  const { type, properties, additionalProperties } = own;
  // A problem has the facts of its fault beside what every problem has.
  const isProblem = isRecord(properties) && 'traceId' in properties && 'detail' in properties;
  const open = type === 'object' && isRecord(properties) && additionalProperties === undefined && !isProblem;
  return open ? { ...own, additionalProperties: false } : own;
}

const seen = new Set<OperationId>();
async function answers(id: OperationId, value: unknown): Promise<void> {
  const { answer } = operation(id);
  seen.add(id);
  if (answer === undefined) expect(await value, id).toBeUndefined();
  else expect(errorsOf(answer, await value), id).toEqual([]);
}

/** Follows a stream for as long as `enough` says; each event must be of its type. */
async function tells(
  id: OperationId,
  items: AsyncIterable<{ readonly event: string; readonly data: unknown }>,
  enough: (event: string) => boolean = () => false,
): Promise<string[]> {
  seen.add(id);
  const told: string[] = [];
  for await (const { event, data } of items) {
    const type = operation(id).events?.[event];
    expect(type, `${id}: ${event}`).toBeDefined();
    expect(errorsOf(type as WireName, data), `${id}: ${event}`).toEqual([]);
    told.push(event);
    if (enough(event)) break;
  }
  return told;
}

it('units answer as described, asleep, waking and awake', async () => {
  await answers('readUnit', client.readUnit('one'));
  await answers('startUnit', client.startUnit('one'));
  await platform.untilState('one', 'ready');
  await answers('stopUnit', client.stopUnit('one'));
  await platform.untilState('one', 'cold');
  const told = await tells('startUnit', client.startUnit('one', { wait: true }));
  expect([told.includes('progress'), told.at(-1)]).toEqual([true, 'done']);
  for (const name of ['one', 'service/one', 'model/tiny:1']) await answers('readUnit', client.readUnit(name));
  await answers('explainUnit', client.explainUnit('one'));
  await answers('moveUnit', client.moveUnit('one', { to: 'process' }));
  expect((await tells('moveUnit', client.moveUnit('one', { to: 'process', wait: true }))).at(-1)).toBe('done');
  await answers('pinUnit', client.pinUnit('one'));
  await answers('unpinUnit', client.unpinUnit('one'));
  seen.add('readLogs');
  for await (const line of client.readLogs('one', { lines: 1 })) expect(line).toBeTypeOf('string');
});

it('the platform answers as described', async () => {
  await answers('readState', client.readState());
  await answers('readLedger', client.readLedger());
  await answers('readSavings', client.readSavings());
  await answers('readPlan', client.readPlan({ unit: ['one', 'tiny:1'] }));
  await answers('readCatalog', client.readCatalog());
  await answers('readDefinition', client.readDefinition('one'));
  await answers('createConsoleLink', client.createConsoleLink());
  await answers('readDescription', client.readDescription());
  const made = client.createKey({ name: 'one', roles: ['user'], expiresIn: '1h' });
  await answers('createKey', made);
  const { keyId } = (await made).facts;
  await answers('rotateKey', client.rotateKey(keyId, { overlap: '1h' }));
  await answers('readLimits', client.readLimits());
  await answers('readCache', client.readCache());
  await answers('clearCache', client.clearCache());
  await answers('readMap', client.readMap());
  await answers('listEnvironments', client.listEnvironments());
  await answers('pruneEnvironments', client.pruneEnvironments({ dryRun: true }));
  await answers('readUpstreams', client.readUpstreams());
  await answers('listKeys', client.listKeys());
  await answers('revokeKey', client.revokeKey(keyId));
  await answers('readAudit', client.readAudit({ limit: 5, what: 'createKey' }));
  const events = tells('watchEvents', client.watchEvents(), (event) => event === 'log');
  await client.stopUnit('one', { force: true });
  expect(await events).toEqual(expect.arrayContaining(['state', 'log']));
});

it('models and their store answer as described', async () => {
  await answers('readModel', client.readModel('tiny:1'));
  expect((await tells('pullModel', client.pullModel('tiny:1'))).at(-1)).toBe('done');
  await expect(tells('watchPull', client.watchPull('tiny:1'))).rejects.toMatchObject({ code: 'CONFLICT' });
  await answers('listModels', client.listModels());
  await answers('readModel', client.readModel('tiny:1'));
  await answers('listVersions', client.listVersions('tiny:1'));
  await answers('makeView', client.makeView('folder'));
  expect((await tells('verifyStore', client.verifyStore())).at(-1)).toBe('done');
  const file = join(home, 'taken.gguf');
  await copyFile(process.env.SUTAZ_TEST_MODEL ?? '', file);
  expect((await tells('importModels', client.importModels({ path: file, name: 'taken:1' }))).at(-1)).toBe('done');
  await expect(client.rollBackModel('tiny:1')).rejects.toMatchObject({ name: 'Fault' });
  seen.add('rollBackModel');
  await answers('removeModel', client.removeModel('tiny:1'));
  await answers('collectStore', client.collectStore({ dryRun: true, downloads: true }));
});

it('runs of tools answer as described', async () => {
  const started = await client.startJob({ tool: 'say', args: [] });
  await answers('startJob', started);
  await answers('readJob', client.readJob(started.id));
  await tells('readJobOutput', client.readJobOutput(started.id), (event) => event === 'end');
  await answers('cancelJob', client.cancelJob(started.id));
  await answers('listJobs', client.listJobs());
});

describe('what is refused', () => {
  const ask = (path: string, init: RequestInit = {}) => platform.fetch(`/sutaz/v1${path}`, init);
  it.each([
    [404, 'NOT_FOUND', () => ask('/units/oen')],
    [404, 'NOT_FOUND', () => ask('/nothing')],
    [405, 'METHOD_NOT_ALLOWED', () => ask('/state', { method: 'DELETE' })],
    [400, 'BAD_REQUEST', () => ask('/plan')],
    [400, 'BAD_REQUEST', () => ask('/store/collect', { method: 'POST', body: '{"dryrun":true}' })],
    [401, 'UNAUTHENTICATED', () => fetch(`${platform.url}/sutaz/v1/state`)],
    [413, 'TOO_LARGE', () => ask('/store/collect', { method: 'POST', body: ' '.repeat(70_000) })],
  ])('is %i %s as described', async (status, code, call) => {
    const response = await call();
    expect([response.status, response.headers.get('content-type')]).toEqual([
      status,
      'application/problem+json; charset=utf-8',
    ]);
    const problem = (await response.json()) as { code: string };
    expect(errorsOf('ApiProblem', problem)).toEqual([]);
    expect(problem.code).toBe(code);
  });
});

it('the example of the SDK runs as written', async () => {
  const env = { ...process.env, SUTAZ_URL: platform.url, SUTAZ_KEY: platform.key };
  const argv = ['--conditions=source', 'examples/sdk.ts'];
  const { stdout } = await promisify(execFile)(process.execPath, [...argv, 'one'], { cwd: root, env });
  expect(stdout).toMatch(/service\/one is ready\n\d+ of \d+ bytes are reserved\n$/);
  const wrong = await promisify(execFile)(process.execPath, [...argv, 'oen'], { cwd: root, env }).catch(
    (error: { stderr: string }) => error,
  );
  expect(wrong.stderr).toMatch(/^NOT_FOUND: .*one/);
});

it('every call was made', async () => {
  const next = await client.restart();
  await answers('restart', next);
  await answers('shutDown', client.shutDown());
  await until(() => exited(next.pid), 'the platform that went on to end');
  expect([...seen].sort()).toEqual([...operationIds].sort());
});
