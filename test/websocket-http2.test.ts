/** WebSockets over HTTP/2 and TLS, as browsers open them, through a real platform to a service that echoes. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openHttp2WebSocket } from '#edge/protocols/websocket-client.fake';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

let platform: TestPlatform;
let client: ClientHttp2Session;
beforeAll(async () => {
  const rule = '{ name: open, for: { service: echo }, concurrent: 2 }';
  platform = await startPlatform({
    config: `listen: { tls: auto }\nlimits: { rules: [${rule}] }\n`,
    catalog: { 'services/echo.yaml': echoService('echo', { dir: `${root}/test` }) },
  });
  const ca = await readFile(join(platform.home, 'tls/ca.pem'), 'utf8');
  client = connect(`https://localhost:${platform.port}`, { ca });
});
afterAll(async () => {
  client.destroy();
  await platform.stop();
});

const open = (path: string, headers: Record<string, string> = {}) =>
  openHttp2WebSocket(client, path, { authorization: `Bearer ${platform.key}`, ...headers });
const leases = async () => (await platform.unit('echo')).leases;

it('wake their service, by path and by host, count as requests of their own, and keep it busy while they are open', async () => {
  const one = await open('/services/echo/socket');
  const two = await open('/socket', { ':authority': `echo.localhost:${platform.port}` });
  expect([one.answer[':status'], two.answer[':status'], await leases()]).toEqual([200, 200, 2]);
  const third = await open('/services/echo/socket');
  expect([third.answer[':status'], third.answer['retry-after']]).toEqual([429, '1']);
  for (const { send } of [one, two]) send('over one connection');
  await until(() => one.got.length + two.got.length === 2, 'both echoes');
  expect([one.got, two.got]).toEqual([['over one connection'], ['over one connection']]);

  one.closeWith(1000);
  await once(one.stream, 'close');
  await until(async () => (await leases()) === 1, 'the first to give its lease back');
  const fourth = await open('/services/echo/socket');
  expect(fourth.answer[':status']).toBe(200);
  for (const { stream } of [two, fourth]) stream.close(8);
  await until(async () => (await leases()) === 0, 'the others to give theirs back');
});

it('end with their service, and the connection goes on', async () => {
  const one = await open('/services/echo/socket');
  const gone = once(one.stream, 'close');
  const crashed = await platform.fetch('/services/echo/crash').catch(() => null);
  expect(crashed?.status ?? 502).toBe(502);
  await gone;
  await until(async () => (await leases()) === 0, 'its lease to be given back');
  expect(client.destroyed).toBe(false);
});
