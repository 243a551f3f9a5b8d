/** What a route keeps of a server elsewhere, as the control API, the metrics and the command line tell it and forget it. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ApiCache, ApiRouteCache } from '#contracts/cache-api';
import { root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

let asked = 0;
const elsewhere = createServer((req, res) => {
  asked++;
  const known = { 'cache-control': 'max-age=60', etag: '"1"', 'cache-tag': `all,${req.url?.slice(1) ?? ''}` };
  if (req.headers['if-none-match'] === '"1"') return void res.writeHead(304, known).end();
  res.writeHead(200, known).end(`this is ${req.url ?? ''}`);
});
const config = (more = '') => `routes:
  away:
    match: { path: /away/* }
    to: { url: "http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}" }
    with: [{ stripPrefix: /away }, { httpCache: { shared: true } }]
${more}`;

let platform: TestPlatform;
beforeAll(async () => {
  await once(elsewhere.listen(0, '127.0.0.1'), 'listening');
  platform = await startPlatform({ config: config() });
});
afterAll(async () => {
  await platform.stop();
  elsewhere.close();
  elsewhere.closeAllConnections();
});

const get = async (path: string, headers: Record<string, string> = {}) =>
  (await (await platform.fetch(`/away${path}`, { headers })).text()).trim();
const told = async (): Promise<ApiRouteCache> => {
  const { routes = [] } = (await (await platform.fetch('/sutaz/v1/cache')).json()) as ApiCache;
  return routes[0] as ApiRouteCache;
};
const sutaz = async (...words: string[]) => {
  const program = ['--conditions=source', '--disable-warning=ExperimentalWarning', join(root, 'src/cli.ts')];
  const { stdout } = await promisify(execFile)(process.execPath, [...program, ...words, '--home', platform.home]);
  return stdout;
};
const forget = async (query: string) => {
  const answer = await platform.fetch(`/sutaz/v1/cache${query}`, { method: 'DELETE' });
  return [answer.status, await answer.json()];
};

it('hits, misses, what was confirmed and what was spared are counted by route', async () => {
  expect([await get('/a'), await get('/a'), await get('/b')]).toEqual(['this is /a', 'this is /a', 'this is /b']);
  expect(await get('/a', { 'cache-control': 'no-cache' })).toBe('this is /a');
  await platform.fetch('/away/a', { headers: { range: 'bytes=0-1' } });
  expect(asked).toBe(4);
  const requests = { hit: 1, miss: 2, stale: 0, revalidated: 1, collapsed: 0, bypass: 1 };
  expect(await told()).toMatchObject({
    route: 'away',
    shared: true,
    entries: 2,
    sparedBytes: 20,
    evicted: 0,
    requests,
  });
  const metrics = await (await platform.fetch('/metrics')).text();
  expect(metrics).toContain('# TYPE sutaz_http_cache_requests_total counter');
  expect(metrics).toContain('sutaz_http_cache_requests_total{route="away",outcome="revalidated"} 1');
  expect(metrics).toContain('sutaz_http_cache_entries{route="away"} 2');
  expect(metrics).toContain('sutaz_http_cache_spared_bytes_total{route="away"} 20');
  expect(metrics).toContain('sutaz_http_cache_evicted_total{route="away"} 0');
  expect(await sutaz('cache', 'show')).toMatch(/^away +2 /m);
});

it('is forgotten by a tag of the answer and by route, by the API and by the command line', async () => {
  expect(await forget('?tag=b')).toEqual([200, { cleared: 1 }]);
  expect((await told()).entries).toBe(1);
  await get('/b');
  expect(JSON.parse(await sutaz('cache', 'clear', '--route', 'away', '--tag', 'all', '--json'))).toEqual({
    cleared: 2,
  });
  const [status, problem] = await forget('?route=awya');
  expect([status, (problem as { detail: string }).detail]).toEqual([
    404,
    expect.stringContaining('Did you mean away?'),
  ]);
});

it('goes on being counted over a change of the configuration, which empties it', async () => {
  await get('/a');
  const before = await told();
  await writeFile(join(platform.home, 'sutaz.yaml'), config('logs: { level: debug }\n'));
  await until(async () => (await told()).entries === 0, 'it to be empty');
  expect((await told()).requests).toEqual(before.requests);
});
