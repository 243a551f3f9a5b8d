/**
 * Real servers in processes of their own behind a real platform: what runs elsewhere is killed and comes back under load, and
 * what the platform runs itself is killed, by a signal and by its own doing.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ApiUpstream, ApiUpstreams } from '#contracts/explanations';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { exited, until } from './_processes.ts';
import { holderService, processesOf } from './fixtures/holders.ts';

let home: string;
let platform: TestPlatform | undefined;
beforeAll(async () => void (home = await mkdtemp(join(tmpdir(), 'sutaz-upstreams-'))));
const closers: (() => unknown)[] = [];
afterEach(async () => {
  await platform?.stop();
  for (const close of closers.splice(0)) await close();
  expect(processesOf(home)).toEqual([]);
});
afterAll(() => rm(home, { recursive: true, force: true }));

const program = `
  const [port] = process.argv.slice(1);
  const server = require('node:http').createServer((req, res) => res.setHeader('x-port', port).end(port));
  server.keepAliveTimeout = 60000;
  server.listen(Number(port), '127.0.0.1', () => process.stdout.write('listens'));
`;

/** A server of its own process, which may be killed and started again at the same port. */
async function replica(port: number) {
  let child: ChildProcess | undefined;
  const start = async () => {
    child = spawn(process.execPath, ['-e', program, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data');
  };
  const kill = async () => {
    const gone = child && child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null;
    child?.kill('SIGKILL');
    await gone;
  };
  await start();
  closers.push(kill);
  return { port, start, kill };
}

/** Ports that nothing listens at just now. */
async function freePorts(count: number): Promise<number[]> {
  const { createServer } = await import('node:net');
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

interface Seen {
  readonly at: number;
  readonly status: number;
  readonly port: number;
}

/** Asks so many times a second, whether or not those before are answered. */
function load({ url, key }: TestPlatform, path: string, perSecond: number) {
  const agent = new Agent({ keepAlive: true });
  const seen: Seen[] = [];
  const asked: Promise<void>[] = [];
  const one = () =>
    new Promise<void>((resolve) => {
      const tell = (status: number, port = 0) => {
        seen.push({ at: performance.now(), status, port });
        resolve();
      };
      const req = request(`${url}${path}`, { agent, headers: { 'x-sutaz-key': key } }, (res) => {
        res.on('error', () => tell(0));
        res.on('end', () => tell(res.statusCode ?? 0, Number(res.headers['x-port'])));
        res.resume();
      });
      req.on('error', () => tell(0));
      req.end();
    });
  let owed = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    owed += ((now - last) * perSecond) / 1_000;
    last = now;
    for (; owed >= 1; owed--) asked.push(one());
  }, 5);
  return {
    seen,
    async stop() {
      clearInterval(timer);
      await Promise.all(asked);
      agent.destroy();
      return seen;
    },
  };
}

const upstreams = async (): Promise<readonly ApiUpstream[]> => {
  const told = (await (await (platform as TestPlatform).fetch('/sutaz/v1/upstreams')).json()) as ApiUpstreams;
  return told.units.flatMap((one) => one.upstreams);
};

it('R11 failover-zero-error: one of three is killed at 500 a second, and nobody who asks notices', async () => {
  const ports = await freePorts(3);
  const [victim, ...others] = await Promise.all(ports.map(replica));
  if (!victim) throw new Error('There is no replica.');
  const places = ports.map((port) => `{ url: 'http://127.0.0.1:${port}' }`).join(', ');
  const definition = `id: many
name: Many
summary: The same at three places
category: tool
run: { external: { upstreams: [${places}], breaker: { open: 500ms, mostOpen: 1s } } }
resources: { memory: 0 }
`;
  platform = await startPlatform({ home, catalog: { 'services/many.yaml': definition } });
  const asking = load(platform, '/services/many/', 500);
  await until(() => asking.seen.length > 500, 'five hundred answers');
  const since = (at: number, port: number) => asking.seen.filter((one) => one.at > at && one.port === port);
  expect(others.every(({ port }) => since(0, port).length > 50) && since(0, victim.port).length > 50).toBe(true);

  const killed = performance.now();
  await victim.kill();
  const isLeftAlone = async () =>
    (await upstreams()).some(({ id, state }) => id.endsWith(`:${victim.port}`) && state !== 'closed');
  await until(isLeftAlone, 'it to be left alone');
  expect(performance.now() - killed).toBeLessThan(1_000);
  const failures = async () => (await upstreams()).find(({ id }) => id.endsWith(`:${victim.port}`))?.failures ?? 0;
  const before = await failures();
  await until(() => performance.now() - killed > 1_500, 'a while without it');
  // Nothing but probes goes there.
  expect((await failures()) - before).toBeLessThan(6);

  await victim.start();
  const back = performance.now();
  await until(() => since(back, victim.port).length > 0, 'an answer of it');
  expect(performance.now() - back).toBeLessThan(2_000);
  await until(() => since(back, victim.port).length > 20, 'more answers of it');
  const seen = await asking.stop();
  expect(seen.filter(({ status }) => status !== 200)).toEqual([]);
  expect(seen.length).toBeGreaterThan(1_000);
});

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => (socket.destroy(), resolve(true))).on('error', () => resolve(false));
  });

describe('R16 supervisor', () => {
  it('a service that is killed: its state is true within a second, its port is free, and a read is done by the next one', async () => {
    const echo = echoService('echo', { dir: join(root, 'test') });
    platform = await startPlatform({ home, catalog: { 'services/echo.yaml': echo } });
    const ask = (init?: RequestInit) => (platform as TestPlatform).fetch('/services/echo/slow?ms=400', init);
    expect((await ask()).status).toBe(200);
    for (const [method, status] of [['GET', 200] as const, ['POST', 502] as const]) {
      const { instance } = await platform.unit('echo');
      if (!instance?.pid || !instance.port) throw new Error('It has no process.');
      const asked = ask({ method });
      await until(async () => (await platform?.unit('echo'))?.leases === 1, 'the request to be under way');
      process.kill(instance.pid, 'SIGKILL');
      const killed = performance.now();
      await until(async () => (await platform?.unit('echo'))?.instance?.pid !== instance.pid, 'its state to be told');
      expect(performance.now() - killed).toBeLessThan(1_000);
      expect([exited(instance.pid), await listens(instance.port)]).toEqual([true, false]);
      const answer = await asked;
      expect(answer.status).toBe(status);
      if (status === 502) expect(await answer.json()).toMatchObject({ code: 'UPSTREAM_FAILED', source: 'gateway' });
      expect((await ask()).status).toBe(200);
    }
    expect((await platform.unit('echo')).leases).toBe(0);
  });

  it('a service that ends again and again: pauses that grow, then left alone, with no process and no port', async () => {
    const dying = holderService({ id: 'dying', memory: '128MiB', flags: ['--start-ms', 20_000, '--die-after', 200] });
    const config = 'scheduler: { backoff: { first: 100ms, attempts: 3 } }';
    platform = await startPlatform({ home, config, catalog: { 'services/dying.yaml': dying } });
    const refused = await platform.fetch('/services/dying/');
    expect([refused.status, await refused.json()]).toMatchObject([503, { code: 'START_FAILED', source: 'gateway' }]);
    expect(await platform.unit('dying')).toMatchObject({ state: 'quarantined', instance: null, leases: 0 });
    expect(processesOf(home)).toEqual([]);
    // That it could not be started says nothing of its answers: no breaker is open.
    expect((await upstreams()).filter(({ state }) => state !== 'closed')).toEqual([]);
  });
});
