/** `/mcp` as the SDK's own client sees it, with the platform's tools and those of a real MCP server in the catalogue. */
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { CallToolResult, Progress } from '@modelcontextprotocol/client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { echoService, root, startPlatform, testHome } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

const everything = `id: everything
name: Everything
summary: The reference MCP server, for a test
category: tool
run:
  process:
    node: { packages: ['@modelcontextprotocol/server-everything@2026.8.31'] }
    command: [mcp-server-everything, streamableHttp]
    env: { PORT: '{port}' }
health: { tcp: true, startupTimeout: 60s }
resources: { memory: 150MiB }
provides: [mcp]
`;

let home: string;
let platform: TestPlatform;
const clients: Client[] = [];
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'sutaz-mcp-'));
  await symlink(join(testHome(), 'env'), join(home, 'env'));
  const dir = join(root, 'test');
  const model = `{ id: 'tiny:1', name: Tiny, summary: For a test., size: 98MiB, sources: [{ file: { path: '${process.env.SUTAZ_TEST_MODEL}' } }] }`;
  platform = await startPlatform({
    home,
    config: 'models: { threads: 1 }\n',
    catalog: {
      'services/everything.yaml': everything,
      'services/slow.yaml': echoService('slow', { dir, delayMs: 2_500 }),
      'services/endless.yaml': echoService('endless', { dir, delayMs: 15_000 }),
      'models/tiny.yaml': model,
    },
  });
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});
afterAll(async () => {
  await platform?.stop();
  await rm(home, { recursive: true, force: true });
});

type Mode = 'legacy' | 'auto';
async function connect(mode: Mode, key = platform.key): Promise<Client> {
  const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode } });
  const headers = { authorization: `Bearer ${key}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${platform.url}/mcp`), { requestInit: { headers } }));
  clients.push(client);
  return client;
}
const namesOf = async (client: Client) => (await client.listTools()).tools.map(({ name }) => name);
const textOf = ({ content }: CallToolResult) => content.map((part) => (part.type === 'text' ? part.text : '')).join('');

describe.each(['legacy', 'auto'] as const)('a client that negotiates as %s', (mode) => {
  it('sees the tools of the platform and uses them', async () => {
    const client = await connect(mode);
    expect(client.getServerVersion()).toMatchObject({ name: 'sutazai' });
    expect(client.getProtocolEra()).toBe(mode === 'legacy' ? 'legacy' : 'modern');
    expect(await namesOf(client)).toEqual(
      expect.arrayContaining(['list_services', 'start_unit', 'list_models', 'chat']),
    );
    const services = await client.callTool({ name: 'list_services', arguments: {} });
    expect(services.structuredContent).toMatchObject({
      services: expect.arrayContaining([expect.objectContaining({ id: 'service/everything' })]) as unknown,
    });
    const models = await client.callTool({ name: 'list_models', arguments: {} });
    expect(textOf(models)).toContain('tiny:1');
  });

  it('is told what is wrong with a call, with the nearest right name', async () => {
    const client = await connect(mode);
    const misspelt = await client.callTool({ name: 'show_unit', arguments: { nane: 'slow' } });
    expect([misspelt.isError, textOf(misspelt)]).toEqual([
      true,
      expect.stringMatching(/BAD_REQUEST.*Did you mean name/),
    ]);
    const unknown = await client.callTool({ name: 'show_unit', arguments: { name: 'slwo' } });
    expect(textOf(unknown)).toMatch(/NOT_FOUND.*slow/);
    await expect(client.callTool({ name: 'list_servces', arguments: {} })).rejects.toThrow(
      /Did you mean list_services/,
    );
  });

  it('hears of a wake while it lasts', async () => {
    const client = await connect(mode);
    await client.callTool({ name: 'stop_unit', arguments: { name: 'slow' } });
    await platform.untilState('slow', 'cold');
    const told: Progress[] = [];
    const started = await client.callTool(
      { name: 'start_unit', arguments: { name: 'slow' } },
      { onprogress: (progress) => told.push(progress) },
    );
    expect(started.structuredContent).toMatchObject({ id: 'service/slow', state: 'ready' });
    expect(told.length).toBeGreaterThan(0);
    expect(told[0]?.message).toMatch(/starting|queued|preparing/);
  });

  it('calls off what it asked for, and the start that nobody else waits for with it', async () => {
    const client = await connect(mode);
    const leaving = new AbortController();
    const call = client.callTool({ name: 'start_unit', arguments: { name: 'endless' } }, { signal: leaving.signal });
    const refused = expect(call).rejects.toThrow();
    await until(async () => (await platform.unit('endless')).waiters > 0, 'the waiter');
    leaving.abort();
    await refused;
    await until(async () => (await platform.unit('endless')).waiters === 0, 'the waiter to leave');
  });

  it('reaches the tools of a server in the catalogue, which is woken by that', async () => {
    const client = await connect(mode);
    if (mode === 'legacy') {
      expect(await namesOf(client)).toContain('everything__connect');
      expect((await platform.unit('everything')).state).toBe('cold');
      const connected = await client.callTool({ name: 'everything__connect', arguments: {} }, { timeout: 300_000 });
      expect(textOf(connected)).toContain('everything__echo');
    }
    const names = await namesOf(client);
    expect(names).toContain('everything__echo');
    expect(names).not.toContain('everything__connect');
    const echoed = await client.callTool({ name: 'everything__echo', arguments: { message: 'hello' } });
    expect(textOf(echoed)).toContain('hello');
    expect((await platform.unit('everything')).leases).toBe(0);
  });

  it('hears of the progress of such a tool, and calls it off there', async () => {
    const client = await connect(mode);
    const long = (await namesOf(client)).find((name) => name.includes('long')) ?? '';
    const told: Progress[] = [];
    const leaving = new AbortController();
    const call = client.callTool(
      { name: long, arguments: { duration: 30, steps: 60 } },
      { signal: leaving.signal, onprogress: (progress) => told.push(progress) },
    );
    const refused = expect(call).rejects.toThrow();
    await until(() => told.some(({ message }) => message?.startsWith('working')), 'progress of the tool');
    expect((await platform.unit('everything')).leases).toBe(1);
    leaving.abort();
    await refused;
    await until(async () => (await platform.unit('everything')).leases === 0, 'the lease to be given back', 5_000);
  });
});

it('a model is asked by a tool', async () => {
  const client = await connect('auto');
  const asked = { name: 'chat', arguments: { model: 'tiny:1', prompt: 'Say hi.', max_tokens: 4 } };
  const answer = await client.callTool(asked, { timeout: 120_000 });
  expect([answer.isError ?? false, textOf(answer).length > 0]).toEqual([false, true]);
  const both = await client.callTool({ name: 'chat', arguments: { prompt: 'a', messages: [{}] } });
  expect(textOf(both)).toMatch(/^BAD_REQUEST/);
});

describe('who may not', () => {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
  const ask = (headers: Readonly<Record<string, string>>) =>
    fetch(`${platform.url}/mcp`, {
      ...{ method: 'POST', body },
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    });
  it.each([
    ['has no key', 401, {}],
    ['has a wrong key', 401, { authorization: 'Bearer sutaz-nobody' }],
  ])('%s is refused', async (_, status, headers) => expect((await ask(headers)).status).toBe(status));

  it('is a page of another origin, whatever its key', async () => {
    const key = { authorization: `Bearer ${platform.key}` };
    for (const origin of ['http://evil.example', 'null']) expect((await ask({ ...key, origin })).status).toBe(403);
    expect((await ask({ ...key, origin: 'http://localhost:6274' })).status).toBe(200);
  });
});

it('the platform stops although somebody waits for changes', async () => {
  const client = await connect('auto');
  expect((await client.listen({ toolsListChanged: true })).honoredFilter).toEqual({ toolsListChanged: true });
  const began = Date.now();
  expect(await platform.stop()).toBe(0);
  expect(Date.now() - began).toBeLessThan(20_000);
});
