/** A model at several real servers, each in a process of its own, one of which is killed. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { ApiUpstream, ApiUpstreams } from '#contracts/explanations';
import { startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

/** OpenAI's chat as far as this needs it: each answer says which server it is, and what it was asked with. */
const program = `
  const server = require('node:http').createServer(async (req, res) => {
    let text = '';
    for await (const chunk of req) text += chunk;
    const asked = JSON.parse(text || '{}');
    const { port } = server.address();
    res.setHeader('x-port', port);
    if (req.url !== '/base/v1/chat/completions') return res.writeHead(404).end('{}');
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    if (asked.stream) {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      const chunk = { model: asked.model, choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: null }] };
      const last = { model: asked.model, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage };
      return res.end([chunk, last].map((one) => 'data: ' + JSON.stringify(one) + '\\n\\n').join('') + 'data: [DONE]\\n\\n');
    }
    const message = { role: 'assistant', content: 'Hi' };
    const seen = { model: asked.model, headers: req.headers };
    res.setHeader('content-type', 'application/json');
    res.end(JSON.stringify({ model: asked.model, choices: [{ index: 0, message, finish_reason: 'stop' }], usage, seen }));
  });
  server.listen(0, '127.0.0.1', () => process.stdout.write(String(server.address().port)));
`;

const children: ChildProcess[] = [];
async function server() {
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const [text] = (await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data')) as [Buffer];
  return { port: Number(text), child };
}

let home: string;
let platform: TestPlatform | undefined;
const at = () => platform as TestPlatform;
let servers: readonly Awaited<ReturnType<typeof server>>[];
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'sutaz-remote-models-'));
  servers = await Promise.all([server(), server()]);
  const [first, second] = servers.map(({ port }) => `http://127.0.0.1:${port}/base/v1`);
  const definition = `id: far:1b
name: Far
summary: A model at two servers
engine: upstream
aliases: [far]
remote:
  model: Org/Far
  keyEnv: FAR_KEY
  balance: round-robin
  upstreams: [{ url: '${first}', weight: 3 }, { url: '${second}' }]
  breaker: { failures: 2, open: 10s }
size: 0
`;
  platform = await startPlatform({
    ...{ home, env: { FAR_KEY: 'sk-far' } },
    catalog: { 'models/far.yaml': definition },
  });
});
afterAll(async () => {
  await platform?.stop();
  for (const child of children) child.kill('SIGKILL');
  await rm(home, { recursive: true, force: true });
});
afterEach(async () => {
  // It takes nothing here, whatever was asked of it.
  expect((await at().state()).ledger.reservedBytes).toBe(0);
});

const messages = [{ role: 'user', content: 'Hi' }];
const chat = (more: object = {}) =>
  at().fetch('/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie: 'theirs=1', 'x-forwarded-for': '192.0.2.1' },
    body: JSON.stringify({ model: 'far', messages, ...more }),
  });
const upstreams = async (): Promise<readonly ApiUpstream[]> => {
  const told = (await (await at().fetch('/sutaz/v1/upstreams')).json()) as ApiUpstreams;
  return told.units.find(({ unit }) => unit === 'model/far:1b')?.upstreams ?? [];
};

it('is shown before it is asked: ready, at its two servers', async () => {
  expect(await at().unit('far')).toMatchObject({
    ...{ kind: 'model', state: 'ready', instance: null },
    why: `runs elsewhere, at http://127.0.0.1:${servers[0]?.port}/base and 1 more`,
  });
  expect((await upstreams()).map(({ weight, picks }) => [weight, picks])).toEqual([
    [3, 0],
    [1, 0],
  ]);
  const start = await at().fetch('/sutaz/v1/units/far/start', { method: 'POST' });
  expect([start.status, ((await start.json()) as { code: string }).code]).toEqual([409, 'CONFLICT']);
});

it('its servers are asked by their weights, under its name and with the key there, and told nothing of the client', async () => {
  const counts = new Map<string, number>();
  for (let i = 0; i < 40; i++) {
    const answer = await chat();
    expect(answer.status, await answer.clone().text()).toBe(200);
    const port = answer.headers.get('x-port') ?? '';
    counts.set(port, (counts.get(port) ?? 0) + 1);
    const { seen } = (await answer.json()) as { seen: { model: string; headers: Record<string, string> } };
    expect([seen.model, seen.headers.authorization]).toEqual(['Org/Far', 'Bearer sk-far']);
    expect(Object.keys(seen.headers).sort()).toEqual([
      ...['accept', 'accept-encoding', 'authorization', 'content-length', 'content-type', 'host', 'traceparent'],
    ]);
  }
  expect(servers.map(({ port }) => counts.get(String(port)))).toEqual([30, 10]);
});

it('is asked so through the other APIs and in streams, too', async () => {
  const headers = { 'content-type': 'application/json' };
  const stream = await chat({ stream: true });
  expect(await stream.text()).toContain('"content":"Hi"');
  const ollama = { method: 'POST', headers, body: JSON.stringify({ model: 'far:1b', messages, stream: false }) };
  const answer = await at().fetch('/api/chat', ollama);
  expect([answer.status, await answer.json()]).toMatchObject([200, { message: { content: 'Hi' }, done: true }]);
  const anthropic = { method: 'POST', headers, body: JSON.stringify({ model: 'far', messages, max_tokens: 9 }) };
  const told = await at().fetch('/v1/messages', anthropic);
  expect([told.status, await told.json()]).toMatchObject([200, { content: [{ type: 'text', text: 'Hi' }] }]);
});

it('one of its servers is killed: nobody who asks notices, and it is left alone', async () => {
  const [victim, other] = servers;
  const gone = once(victim?.child as ChildProcess, 'exit');
  victim?.child.kill('SIGKILL');
  await gone;
  for (let i = 0; i < 20; i++) {
    const { status, headers } = await chat();
    expect([status, headers.get('x-port')]).toEqual([200, String(other?.port)]);
  }
  await until(async () => (await upstreams())[0]?.state === 'open', 'it to be left alone');
  const failures = (await upstreams())[0]?.failures ?? 0;
  expect(failures).toBeGreaterThanOrEqual(2);
  for (let i = 0; i < 10; i++) expect((await chat()).status).toBe(200);
  expect((await upstreams())[0]?.failures).toBe(failures);
});

it('all of them are gone: it says which, and why', async () => {
  const gone = once(servers[1]?.child as ChildProcess, 'exit');
  servers[1]?.child.kill('SIGKILL');
  await gone;
  let last = await chat();
  for (let i = 0; i < 5 && last.status !== 503; i++) last = await chat();
  expect(last.status).toBe(503);
  expect(last.headers.get('retry-after')).not.toBe(null);
  const text = await last.text();
  for (const { port } of servers) expect(text).toContain(`127.0.0.1:${port}`);
  expect(text).not.toContain('sk-far');
});
