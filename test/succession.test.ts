import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { ApiRestarted, ApiState } from '#contracts/api';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { exited, until } from './_processes.ts';

const dir = `${root}test`;
let platform: TestPlatform;
let pids: number[] = [];

afterEach(async () => {
  const last = pids.at(-1);
  if (last !== undefined && !exited(last)) process.kill(last, 'SIGTERM');
  await until(() => pids.every(exited), 'every platform to end');
  pids = [];
});

async function start(config?: string): Promise<void> {
  const catalog = {
    'services/kept.yaml': echoService('kept', { dir, extra: '' }),
    'services/late.yaml': echoService('late', { dir, delayMs: 1_500 }),
  };
  platform = await startPlatform({ catalog, ...(config === undefined ? {} : { config }) });
  pids = [platform.pid];
}

async function restart(): Promise<ApiRestarted> {
  const response = await platform.fetch('/sutaz/v1/restart', { method: 'POST' });
  const text = await response.text();
  expect([response.status, text]).toEqual([200, expect.anything()]);
  const next = JSON.parse(text) as ApiRestarted;
  pids.push(next.pid);
  return next;
}

interface Got {
  readonly status: number;
  readonly text: string;
}

/** `onData` is called with each piece of the answer. */
function get(path: string, agent: Agent | false, onData: () => void = () => undefined): Promise<Got> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${platform.key}` };
    const req = request({ host: '127.0.0.1', port: platform.port, path, headers, agent }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        onData();
      });
      res.on('end', () => (res.complete ? resolve({ status: res.statusCode ?? 0, text }) : reject(new Error('cut'))));
      res.on('error', reject);
    });
    req.on('error', reject);
    req.end();
  });
}

/** Asks again and again until it is stopped; each client has a connection of its own, kept or a new one each time. */
function clients(count: number, kept: boolean) {
  let running = true;
  const bad: string[] = [];
  let answered = 0;
  const one = async () => {
    const agent = kept && new Agent({ keepAlive: true, maxSockets: 1 });
    while (running) {
      await get('/services/kept/x', agent).then(
        ({ status, text }) => (status === 200 ? answered++ : bad.push(`${status} ${text}`)),
        (error: unknown) => bad.push(String(error)),
      );
    }
    if (agent) agent.destroy();
  };
  const done = Promise.all(Array.from({ length: count }, one));
  return {
    answered: () => answered,
    async stop() {
      running = false;
      await done;
      return bad;
    },
  };
}

/** Goes on until it is let go, however long a restart takes; `began` with its first event. */
function holdStream() {
  const { promise: began, resolve } = Promise.withResolvers<void>();
  const ended = get('/services/kept/sse?held&every=20', false, resolve);
  return { ended, began: Promise.race([began, ended]) };
}

/** Ends the streams; each must have come whole. */
async function endStreams(streams: readonly ReturnType<typeof holdStream>[]): Promise<void> {
  expect((await get('/services/kept/let-go', false)).text).toBe(String(streams.length));
  for (const { status, text } of await Promise.all(streams.map(({ ended }) => ended))) {
    const events = text.match(/^data: .*$/gm) ?? [];
    const count = events.length - 1;
    expect(status).toBe(200);
    expect(events).toEqual([...Array.from({ length: count }, (_, i) => `data: ${i}`), `data: ${count} in all`]);
  }
}

describe('a platform that is replaced while it runs', () => {
  it('refuses no connection, fails no request and cuts no stream, twice in a row', async () => {
    await start();
    const { text } = await get('/services/kept/x', false);
    const { pid } = JSON.parse(text) as { pid: number };
    const load = [clients(8, true), clients(4, false)];
    for (let round = 1; round <= 2; round++) {
      const streams = Array.from({ length: 10 }, holdStream);
      await Promise.all(streams.map(({ began }) => began));
      const next = await restart();
      expect(next.url).toBe(platform.url);
      // The next process knows of the streams that the old one still passes on.
      expect((await platform.unit('kept')).leases).toBeGreaterThanOrEqual(10);
      expect(((await platform.state()) as ApiState).platform.pid).toBe(next.pid);
      await endStreams(streams);
    }
    const answered = load.map((one) => one.answered());
    await until(() => load.every((one, i) => one.answered() > (answered[i] ?? 0) + 10), 'the clients to be answered');
    for (const one of load) expect(await one.stop()).toEqual([]);
    expect(JSON.parse((await get('/services/kept/x', false)).text)).toMatchObject({ pid });
    await until(() => exited(pids[0] ?? 0), 'the first process to end');
    await until(async () => (await platform.unit('kept')).leases === 0, 'all leases to be given back');
  }, 60_000);

  it('waits for a start that is under way, and hands its waiters an answer', async () => {
    await start();
    const waits = get('/services/late/x', false);
    await platform.untilState('late', 'starting');
    const began = performance.now();
    await restart();
    expect(performance.now() - began).toBeGreaterThan(500);
    expect((await waits).status).toBe(200);
    expect((await platform.unit('late')).state).toBe('ready');
  });

  it('hands over whom it keeps waiting for memory: the next one serves them when it is free', async () => {
    await start('memory: { limit: 100MiB }\n');
    const stream = holdStream();
    await stream.began;
    const waits = get('/services/late/x', false);
    await until(async () => (await platform.unit('late')).waiters === 1, 'the other to wait');
    await restart();
    await until(async () => (await platform.unit('late')).waiters === 1, 'the next process to know of it');
    expect((await platform.unit('kept')).state).toBe('ready');
    await endStreams([stream]);
    expect((await waits).status).toBe(200);
  });

  it.each([
    ['a mistake in the configuration', 'limits: { bdy: 1MiB }\n', /bdy.*body/s],
    ['no certificate where it should be', 'listen: { tls: { cert: /none.pem, key: /none.key } }\n', /\/none\.pem/],
    [
      'no module where a route has one',
      'routes: { x: { match: { path: /x }, to: { service: kept }, with: [{ use: none.ts }] } }\n',
      /none\.ts/,
    ],
  ])('goes on where the next one finds %s, and names it', async (_, config, named) => {
    await start('limits: { body: 1MiB }\n');
    await writeFile(join(platform.home, 'sutaz.yaml'), config);
    const response = await platform.fetch('/sutaz/v1/restart', { method: 'POST' });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: 'START_FAILED', detail: expect.stringMatching(named) });
    expect((await get('/services/kept/x', false)).status).toBe(200);
    const told = JSON.parse(await readFile(join(platform.home, 'platform.json'), 'utf8')) as { pid: number };
    expect(told.pid).toBe(platform.pid);
  });

  it('ends where none of those that it handed everything to goes on', async () => {
    await start();
    // That it cannot say where it is reached is found once the home has been taken over.
    await rm(join(platform.home, 'platform.json'));
    await mkdir(join(platform.home, 'platform.json', 'in the way'), { recursive: true });
    const asked = await platform.fetch('/sutaz/v1/restart', { method: 'POST' }).catch(() => null);
    expect(asked?.ok).not.toBe(true);
    await until(() => exited(platform.pid), 'the platform to end');
    await rm(join(platform.home, 'platform.json'), { recursive: true });
  }, 60_000);
});
