import { once } from 'node:events';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest';
import type { ApiProgress, ApiState, ApiUnit } from '#contracts/api';
import { createClient, finished } from './sdk.ts';
import type { Client } from './sdk.ts';

type Answering = (res: ServerResponse) => void;
let answer: Answering;
let asked: string[];
let client: Client;
const server = createServer((req, res) => {
  let body = '';
  req.on('data', (chunk: Buffer) => (body += chunk.toString()));
  req.on('end', () => {
    asked.push([req.method, req.url, body].filter((part) => part !== '').join(' '));
    answer(res);
  });
});
beforeEach(async () => {
  asked = [];
  await once(server.listen(0, '127.0.0.1'), 'listening');
  client = createClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, key: 'k' });
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const json =
  (value: unknown, status = 200): Answering =>
  (res) =>
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
const stream =
  (...events: readonly (readonly [string, unknown])[]): Answering =>
  (res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.end(events.map(([event, data]) => `:\n\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join(''));
  };
const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
};

describe('a call', () => {
  it('has its name, its query and its body where the platform looks for them', async () => {
    answer = json({});
    await client.stopUnit('model/smollm2:135m', { force: true });
    await client.readPlan({ unit: ['a', 'b c'], limit: 5 });
    await client.collectStore({ dryRun: true });
    await client.collectStore();
    await client.makeView('folder', { models: ['m'] });
    expect(asked).toEqual([
      'POST /sutaz/v1/units/model%2Fsmollm2%3A135m/stop?force=true',
      'GET /sutaz/v1/plan?unit=a&unit=b+c&limit=5',
      'POST /sutaz/v1/store/collect {"dryRun":true}',
      'POST /sutaz/v1/store/collect {}',
      'POST /sutaz/v1/store/views/folder {"models":["m"]}',
    ]);
  });

  it('without an answer gives nothing back', async () => {
    answer = (res) => void res.writeHead(204).end();
    expect(await client.removeModel('m')).toBeUndefined();
  });

  it('that is refused throws the Fault that the platform means', async () => {
    answer = json({ code: 'CONFLICT', status: 409, detail: 'It is busy.', leases: 2, traceId: 't' }, 409);
    await expect(client.stopUnit('x')).rejects.toMatchObject({
      ...{ name: 'Fault', code: 'CONFLICT', message: 'It is busy.', details: { leases: 2, traceId: 't' } },
    });
  });

  it('ends when its signal says so', async () => {
    answer = () => undefined;
    const leaving = new AbortController();
    const call = client.readState({}, { signal: leaving.signal });
    await once(server, 'request');
    leaving.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('a stream', () => {
  it('yields its events, and is one only where it was asked for', async () => {
    answer = stream(['progress', { phase: 'starting' }], ['done', { id: 'service/x' }]);
    expect(await all(client.startUnit('x', { wait: true }))).toEqual([
      { event: 'progress', data: { phase: 'starting' } },
      { event: 'done', data: { id: 'service/x' } },
    ]);
    answer = json({ id: 'service/x' }, 202);
    expect(await client.startUnit('x')).toEqual({ id: 'service/x' });
    expect(asked).toEqual(['POST /sutaz/v1/units/x/start?wait=true', 'POST /sutaz/v1/units/x/start']);
  });

  it('of a long work ends in what it did, or in its Fault', async () => {
    answer = stream(['progress', { done: 1 }], ['done', { files: [] }]);
    const told: unknown[] = [];
    expect(await finished(client.verifyStore({ repair: true }), (progress) => told.push(progress))).toEqual({
      files: [],
    });
    expect(told).toEqual([{ done: 1 }]);
    answer = stream(['error', { code: 'DISK_FULL', status: 507, detail: 'full' }]);
    await expect(finished(client.pullModel('m'))).rejects.toMatchObject({ code: 'DISK_FULL' });
    answer = stream(['progress', {}]);
    await expect(finished(client.pullModel('m'))).rejects.toMatchObject({ code: 'UPSTREAM_FAILED' });
  });

  it('that its reader leaves is left at the platform', async () => {
    const left = Promise.withResolvers<void>();
    answer = (res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).write('event: log\ndata: {}\n\n');
      res.on('close', () => left.resolve());
    };
    for await (const { event } of client.watchEvents()) {
      expect(event).toBe('log');
      break;
    }
    await left.promise;
  });

  it('of text is its lines', async () => {
    answer = (res) => void res.end('one\ntwo\n');
    expect(await all(client.readLogs('x', { lines: 2 }))).toEqual(['one', 'two']);
  });
});

/** Only compiled. */
const calls = {
  watched: () => client.startUnit('x', { wait: true }),
  // @ts-expect-error: it needs the name of a unit
  nameless: () => client.readUnit(),
  // @ts-expect-error: there is no such parameter
  misspelt: () => client.stopUnit('x', { farce: true }),
  // @ts-expect-error: a plan is of something
  planless: () => client.readPlan(),
};

it('is typed by the declarations', () => {
  expect(Object.keys(calls)).toHaveLength(4);
  expectTypeOf(client.readState).returns.resolves.toEqualTypeOf<ApiState>();
  expectTypeOf(client.removeModel).returns.resolves.toEqualTypeOf<undefined>();
  expectTypeOf(client.readPlan).parameter(0).toMatchTypeOf<{ readonly unit: readonly string[] }>();
  expectTypeOf<Awaited<ReturnType<typeof client.pinUnit>>>().toEqualTypeOf<ApiUnit>();
  type Events = ReturnType<typeof calls.watched>;
  type Event = Events extends AsyncIterable<infer E> ? E : never;
  expectTypeOf<Event>().toEqualTypeOf<
    { readonly event: 'progress'; readonly data: ApiProgress } | { readonly event: 'done'; readonly data: ApiUnit }
  >();
});
