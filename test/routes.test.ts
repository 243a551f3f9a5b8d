import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { define, echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

const elsewhere = createServer((req, res) => {
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify({ url: req.url, host: req.headers.host, headers: req.headers, secret: 1 }));
});

const definition = (path: string): string =>
  echoService('echo', {
    dir: `${root}test`,
    extra: `routes: [{ match: { path: ${path} }, with: [{ stripPrefix: ${path.slice(0, -2)} }] }]`,
  });

let platform: TestPlatform;
beforeAll(async () => {
  await once(elsewhere.listen(0, '127.0.0.1'), 'listening');
  const { port } = elsewhere.address() as AddressInfo;
  platform = await startPlatform({
    catalog: { 'services/echo.yaml': definition('/echo-own/*') },
    config: `
routes:
  own: { match: { path: /own/* }, to: { service: echo }, with: [{ stripPrefix: /own }, shown] }
  named: { match: { host: echo.box.lan }, to: { service: echo } }
  away: { match: { path: /away/* }, to: { url: "http://127.0.0.1:${port}/base" }, with: [{ stripPrefix: /away }, shown] }
  lost: { match: { path: /lost/* }, to: { service: ecko } }
  robots: { match: { path: /robots.txt }, answer: { body: "no" }, public: true }
middlewares:
  shown: [{ requestHeaders: { set: { X-Team: docs } } }, { answerJson: { remove: [secret, env], set: { by: us } } }]
`,
  });
}, 90_000);
afterAll(async () => {
  elsewhere.close();
  expect(await platform.stop()).toBe(0);
});

interface Shown {
  readonly url: string;
  readonly by?: string;
  readonly secret?: number;
  readonly env?: unknown;
  readonly headers: Readonly<Record<string, string>>;
}
const shown = async (path: string, init: RequestInit = {}) =>
  (await (await platform.fetch(path, init)).json()) as Shown;

it('leads to a service, and changes what goes there and what comes back', async () => {
  const answer = await shown('/own/a?b=1');
  expect(answer).toMatchObject({
    url: '/a?b=1',
    by: 'us',
    headers: { 'x-team': 'docs', 'x-forwarded-prefix': '/own' },
  });
  expect(answer.env).toBeUndefined();
});

it('does the same by HTTP/2', async () => {
  const session = connect(platform.url);
  try {
    const stream = session.request({ ':path': '/own/a', authorization: `Bearer ${platform.key}` });
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    const [[head]] = (await Promise.all([once(stream, 'response'), once(stream, 'close')])) as [
      [Record<string, unknown>],
      unknown,
    ];
    expect(head[':status']).toBe(200);
    expect(JSON.parse(text)).toMatchObject({ url: '/a', by: 'us', headers: { 'x-team': 'docs' } });
  } finally {
    session.close();
  }
});

it('takes WebSockets to a service, with a key alone', async () => {
  const url = `${platform.url.replace('http', 'ws')}/own/ws`;
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${platform.key}` } });
  await once(socket, 'open');
  socket.send('hello');
  expect(String((await once(socket, 'message'))[0])).toContain('hello');
  socket.close();
  const refused = new WebSocket(url);
  const [error] = (await once(refused, 'error')) as [Error];
  expect(error.message).toContain('401');
});

it('leads elsewhere by the name of the address, and never with our key', async () => {
  const answer = await shown('/away/x?y=1');
  expect(answer).toMatchObject({ url: '/base/x?y=1', by: 'us', headers: { 'x-team': 'docs' } });
  expect(answer.headers.host).toMatch(/^127\.0\.0\.1:\d+$/);
  expect([answer.headers.authorization, answer.secret]).toEqual([undefined, undefined]);
});

it('opens nothing by itself: without a key only what is public answers, and a target that is not there is named', async () => {
  const without = async (path: string) => (await fetch(platform.url + path)).status;
  expect(await Promise.all(['/own/a', '/away/a', '/lost/a', '/robots.txt'].map(without))).toEqual([401, 401, 401, 200]);
  const lost = await platform.fetch('/lost/a');
  expect([lost.status, await lost.text()]).toEqual([404, expect.stringContaining('echo')]);
});

it('has a host of its own, where the door has nothing', async () => {
  const at = (host: string, key: string | null) =>
    new Promise<number>((resolve, reject) => {
      const headers = { host, ...(key !== null && { authorization: `Bearer ${key}` }) };
      const req = request({ port: platform.port, host: '127.0.0.1', path: '/metrics', headers }, (res) => {
        res.resume();
        resolve(res.statusCode ?? 0);
      });
      req.on('error', reject).end();
    });
  expect([
    await at('echo.box.lan', platform.key),
    await at('echo.box.lan', null),
    await at('x.box.lan', platform.key),
  ]).toEqual([200, 401, 403]);
});

it('a definition may have routes, which change with it and never take an address of the configuration', async () => {
  expect(await shown('/echo-own/a')).toMatchObject({ url: '/a', headers: { 'x-forwarded-prefix': '/echo-own' } });
  await define(platform.home, 'services/echo.yaml', definition('/own/*'));
  const logged = () => readFile(join(platform.home, 'logs/platform.log'), 'utf8');
  await until(
    async () => (await logged()).includes('a route of a definition is not used'),
    'the definition to be read',
  );
  expect((await platform.fetch('/echo-own/a')).status).toBe(404);
  expect(await shown('/own/a')).toMatchObject({ by: 'us' });
});

it('is told in the log where it leads nowhere, and ends the start where a module is not there', async () => {
  const log = await readFile(join(platform.home, 'logs/platform.log'), 'utf8');
  expect(log).toMatch(/sutaz\.yaml:6:\d+: routes\.lost\.to\.service: no service is called ecko\. Did you mean echo\?/);
  const home = await mkdtemp(join(tmpdir(), 'sutaz-routes-'));
  const config = 'routes: { a: { match: { path: /a }, with: [{ use: gone.ts }] } }\n';
  await expect(startPlatform({ home, config })).rejects.toThrow(
    /sutaz\.yaml:1:\d+: routes\.a\.with\[0\]\.use: gone\.ts is not there/,
  );
  await rm(home, { recursive: true });
});
