import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { RequestListener } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { principalWith } from '#security/principal.fake';
import { createSessions } from '#security/sessions';
import { identityOf, noAnswers, openDoor } from '../door.fake.ts';
import type { OpenDoor } from '../door.fake.ts';
import { createUpstreams } from '../transport/upstreams.ts';
import { createLimiter } from '../limits/limiter.ts';
import type { LimiterParts } from '../limits/limiter.ts';
import { compileRules } from '../limits/rules.ts';
import { createMcp } from './handler.ts';

const keys = {
  admin: principalWith('admin'),
  user: principalWith('user'),
  program: principalWith('service'),
  narrow: principalWith(null, ['models:use:x', 'services:use:files', 'services:manage:y'], 'narrow'),
  nobody: principalWith(null, [], 'nobody'),
} as const;

let door: OpenDoor;
let started: string[];
let limiter: LimiterParts;
let listed: unknown[];
/** Until then a tool works. */
let answering: Promise<void>;
const clients: Client[] = [];
beforeEach(async () => {
  started = [];
  answering = Promise.resolve();
  listed = [{ name: 'read', inputSchema: { type: 'object' } }];
  const clock = fakeClock();
  const upstreams = createUpstreams({ clock });
  const identity = {
    ...identityOf(createSessions({ clock, present: () => null }), clock),
    verifyKey: (key: string) => (Object.hasOwn(keys, key) ? keys[key as keyof typeof keys] : null),
  };
  limiter = createLimiter({ clock, kept: new Map(), refused: { add: () => undefined } });
  // The door's own parts are there only once it is open.
  const mcp = createMcp({
    ...{ upstreams, clock, identity, log: silentLogger, version: '1' },
    get waker() {
      return door.world.waker;
    },
    get control() {
      return {
        ...door.control,
        models: () => [],
        stop: (id: string) => void started.push(`stop ${id}`),
      };
    },
    ...{ limiter, answers: noAnswers },
    holdMs: () => 1_000,
    limits: () => ({ body: 100_000 }),
    models: {
      choose: (id) => [{ unit: unitId('model', id), id, provides: ['openai.chat'], manner: null }],
      unit: (id) => unitId('model', id),
      providedBy: () => [],
      list: () => [],
      names: () => [],
    },
    mcpServices: () =>
      ['files', 'mail'].map((service) => ({ service, title: service, unit: unitId('service', service) })),
  });
  door = await openDoor(mcpServer, { identity, mcp, limiter });
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  door.close();
});

/** What `files` and `mail` are: a server with one tool. */
const mcpServer: RequestListener = (req, res) => {
  let body = '';
  req.on('data', (chunk: Buffer) => (body += chunk.toString()));
  req.on('end', () => {
    const { id, method } = JSON.parse(body) as { id?: number; method: string };
    const results: Readonly<Record<string, object>> = {
      initialize: { protocolVersion: '2025-11-25' },
      'tools/list': { tools: listed },
      'tools/call': { content: [{ type: 'text', text: 'what it says' }] },
    };
    const result = results[method];
    if (!result) return void res.writeHead(202).end();
    const answer = () =>
      void res
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ jsonrpc: '2.0', id, result }));
    if (method === 'tools/call') void answering.then(answer);
    else answer();
  });
};

async function connect(key: keyof typeof keys, mode: 'legacy' | 'auto' = 'legacy'): Promise<Client> {
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode } });
  const headers = { authorization: `Bearer ${key}` };
  const url = new URL(`http://localhost:${door.port}/mcp`);
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  clients.push(client);
  return client;
}
const text = (result: Awaited<ReturnType<Client['callTool']>>) => JSON.stringify(result.content);

describe('what a key may', () => {
  const looking = ['list_services', 'show_unit'];
  const managing = ['start_unit', 'stop_unit'];
  const asking = ['list_models', 'chat', 'embed'];
  it.each([
    ['admin', [...looking, ...managing, ...asking, 'files__connect', 'mail__connect']],
    ['user', [...looking, ...asking, 'files__connect', 'mail__connect']],
    ['program', [...asking, 'files__connect', 'mail__connect']],
    ['narrow', [...managing, ...asking, 'files__connect']],
    ['nobody', []],
  ] as const)('%s: is what is listed', async (key, names) => {
    const { tools } = await (await connect(key)).listTools();
    expect(tools.map(({ name }) => name)).toEqual(names);
  });

  it.each([
    ['user', 'stop_unit', { name: 'x' }],
    ['nobody', 'chat', { prompt: 'hi' }],
    ['narrow', 'mail__connect', {}],
    ['narrow', 'list_services', {}],
  ] as const)('%s cannot call %s, which is not there for it', async (key, name, given) => {
    await expect((await connect(key)).callTool({ name, arguments: given })).rejects.toThrow(`There is no tool ${name}`);
  });

  it('holds for what a tool is called for', async () => {
    const client = await connect('narrow');
    const stopped = await client.callTool({ name: 'stop_unit', arguments: { name: 'x' } });
    expect([stopped.isError, text(stopped)]).toEqual([true, expect.stringContaining('FORBIDDEN')]);
    const asked = await client.callTool({ name: 'chat', arguments: { model: 'other', prompt: 'hi' } });
    expect([asked.isError, text(asked)]).toEqual([true, expect.stringContaining('may not use a model called other')]);
    expect(started).toEqual([]);
    const written = door.audited.map(({ what, target, principal }) => [what, target, principal]);
    expect(written).toEqual([['stopUnit', 'x', 'narrow']]);
  });
});

it.each(['legacy', 'auto'] as const)(
  'a server’s tools are there once it was used, and a %s client hears of it',
  async (mode) => {
    const client = await connect('narrow', mode);
    const heard = Promise.withResolvers<void>();
    client.setNotificationHandler('notifications/tools/list_changed', () => heard.resolve());
    if (mode === 'auto') await client.listen({ toolsListChanged: true });
    expect(text(await client.callTool({ name: 'files__connect', arguments: {} }))).toContain('files__read');
    await heard.promise;
    const { tools } = await client.listTools();
    const gathered = tools.map(({ name }) => name).filter((name) => name.includes('__'));
    expect(gathered).toEqual(['files__read']);
    expect(text(await client.callTool({ name: 'files__read', arguments: {} }))).toContain('what it says');
    expect(door.world.leases).toBe(0);
    expect(door.world.upstreams()).toMatchObject([{ id: 'service/files', inFlight: 0, failures: 0, picks: 2 }]);
  },
);

it('what a tool took of a model’s limit is given back when it has ended', async () => {
  limiter.follow(compileRules([{ name: 'one', for: { model: ['x'] }, concurrent: 1 }], (id) => [id]));
  const client = await connect('admin');
  for (let i = 0; i < 2; i++) {
    // What answers here is no engine: that it was let in is what counts.
    const asked = await client.callTool({ name: 'chat', arguments: { model: 'x', prompt: 'hi' } });
    expect(text(asked)).not.toContain('RATE_LIMITED');
  }
  expect([...limiter.accounts()].flatMap(({ gauges }) => gauges.map(({ meter }) => meter.used(0)))).toEqual([0]);
});

describe('a call of a server’s tool', () => {
  const usedOf = () => [...limiter.accounts()].flatMap(({ gauges }) => gauges.map(({ meter }) => meter.used(0)));
  const read = { name: 'files__read', arguments: {} };

  it('counts for its service, and once for its key, however many rules are about both', async () => {
    const client = await connect('admin');
    await client.callTool({ name: 'files__connect', arguments: {} });
    const about = [
      { name: 'files', for: { service: ['files'] }, requests: [{ limit: 2, per: 'minute' as const }] },
      { name: 'each', for: {}, each: ['service' as const], requests: [{ limit: 10, per: 'minute' as const }] },
      { name: 'mine', for: {}, each: ['key' as const], requests: [{ limit: 10, per: 'minute' as const }] },
    ];
    limiter.follow(compileRules(about, (id) => [id]));
    for (let i = 0; i < 2; i++) expect((await client.callTool(read)).isError).toBeUndefined();
    const { upstreams } = door.world;
    const before = upstreams();
    const refused = await client.callTool(read);
    expect([refused.isError, text(refused)]).toEqual([true, expect.stringContaining('RATE_LIMITED: The limit files')]);
    expect(refused._meta).toMatchObject({ 'sutaz/code': 'RATE_LIMITED', 'sutaz/retry-after': 60 });
    // It went to no server, and took nothing of the others.
    expect(upstreams()).toEqual(before);
    const used = Object.fromEntries(
      [...limiter.accounts()].map(({ rule, gauges }) => [rule.name, gauges.map(({ meter }) => meter.used(0))]),
    );
    expect(used).toEqual({ files: [2], each: [2], mine: [3] });
    expect((await client.callTool({ name: 'mail__connect', arguments: {} })).isError).toBeUndefined();
  });

  it('holds its service while it runs, and its place among those at once, in every ending', async () => {
    const client = await connect('admin');
    await client.callTool({ name: 'files__connect', arguments: {} });
    limiter.follow(compileRules([{ name: 'one', for: { service: ['files'] }, concurrent: 1 }], (id) => [id]));
    const working = Promise.withResolvers<void>();
    answering = working.promise;
    const first = client.callTool(read);
    while (door.world.leases === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(usedOf()).toEqual([1]);
    const second = await client.callTool(read);
    expect([second.isError, text(second)]).toEqual([true, expect.stringContaining('RATE_LIMITED')]);
    working.resolve();
    expect((await first).isError).toBeUndefined();
    expect([door.world.leases, ...usedOf()]).toEqual([0, 0]);

    answering = new Promise(() => undefined);
    const leaving = new AbortController();
    const left = client.callTool(read, { signal: leaving.signal }).catch(() => 'left');
    while (door.world.leases === 0) await new Promise((resolve) => setImmediate(resolve));
    leaving.abort();
    expect(await left).toBe('left');
    while (door.world.leases > 0 || usedOf()[0] !== 0) await new Promise((resolve) => setImmediate(resolve));
  });
});

it('what a server lists that is no tool is left out, and hides no other', async () => {
  listed = [null, 'x', { name: 'bare' }, { inputSchema: { type: 'object' } }, ...listed];
  const client = await connect('admin');
  expect(text(await client.callTool({ name: 'files__connect', arguments: {} }))).toContain('files__read');
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name).filter((name) => name.includes('__'))).toEqual(['files__read', 'mail__connect']);
});

it('a tool that fails says so in its result', async () => {
  door.control.unit = () => {
    throw new Fault('CONFLICT', 'not now');
  };
  const failed = await (await connect('admin')).callTool({ name: 'show_unit', arguments: { name: 'x' } });
  expect([failed.isError, text(failed)]).toEqual([true, expect.stringContaining('CONFLICT: not now')]);
});

it.each([
  ['no JSON', 'x', 400],
  ['no message', '{}', 400],
  ['more than is allowed', `{"x":"${'x'.repeat(100_001)}"}`, 413],
])('%s is refused', async (_, body, status) => {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  expect((await door.ask('/mcp', { method: 'POST', key: 'admin', body, headers })).status).toBe(status);
});

it('what cannot be here is refused by its method', async () => {
  expect((await door.ask('/mcp', { key: 'admin', headers: { accept: 'text/event-stream' } })).status).toBe(405);
  expect((await door.ask('/mcp', { method: 'DELETE', key: 'admin' })).status).toBe(405);
});
