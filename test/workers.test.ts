import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import type { ApiRestarted } from '#contracts/api';
import { issue, makeAuthority } from '#security/authority';
import { echoService, root, startPlatform, testHome } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { exited, until } from './_processes.ts';
import { workersOf, workersReady } from './_workers.ts';

const dir = `${root}test`;
let platform: TestPlatform;
let ca = '';
let pids: number[] = [];

afterEach(async () => {
  const last = pids.at(-1);
  if (last !== undefined && !exited(last)) process.kill(last, 'SIGTERM');
  await until(() => pids.every(exited), 'every platform to end', 40_000);
  pids = [];
});

async function start(more = ''): Promise<void> {
  const config = `listen: { tls: auto, workers: 2 }\n${more}`;
  platform = await startPlatform({ config, catalog: { 'services/echo.yaml': echoService('echo', { dir }) } });
  pids = [platform.pid];
  ca = await readFile(join(platform.home, 'tls/ca.pem'), 'utf8');
  await ready();
}

const ready = (): Promise<void> => workersReady(platform);
const workers = (parent = platform.pid): number[] => workersOf(parent);

/** What a process has open. */
const open = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

interface Got {
  readonly status: number;
  readonly text: string;
}

const kept = (): Agent => new Agent({ keepAlive: true, maxSockets: 1 });
/** A connection of its own, with a full handshake. */
const fresh = (): Agent => new Agent({ maxCachedSessions: 0 });

interface Asked {
  readonly agent?: Agent;
  readonly key?: string;
  readonly onData?: (text: string) => void;
}

function get(
  path: string,
  { agent = fresh(), key = platform.key, onData = () => undefined }: Asked = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${key}` };
    const req = request({ host: '127.0.0.1', port: platform.port, path, ca, agent, headers }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => onData((text += chunk)));
      res.on('end', () => (res.complete ? resolve({ status: res.statusCode ?? 0, text }) : reject(new Error('cut'))));
      res.on('error', reject);
    });
    req.on('error', reject).end();
  });
}

/** As many kept connections, shared out among both workers, each of which is open before this returns. */
async function connections(count: number): Promise<Agent[]> {
  const before = workers().map(open);
  const agents = Array.from({ length: count }, kept);
  for (const agent of agents) expect((await get('/healthz', { agent })).status).toBe(200);
  const gained = workers().map((pid, i) => open(pid) - (before[i] ?? 0));
  // Each is two: the client's, and the one to the platform.
  for (const one of gained) expect(one).toBeGreaterThanOrEqual(count - 2);
  return agents;
}

const events = (text: string) => text.match(/^data: \d+$/gm)?.length ?? 0;
const stream = (count: number, every: number, onData?: Asked['onData']) =>
  get(`/services/echo/sse?count=${count}&every=${every}`, onData ? { onData } : {});

describe('TLS in processes of its own', () => {
  it("is like TLS in one: the client's address, HTTP/2, WebSockets, large bodies", async () => {
    await start();
    const echoed = JSON.parse((await get('/services/echo/x')).text) as { headers: Record<string, string> };
    expect(echoed.headers).toMatchObject({ 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1' });
    const session = connectHttp2(`https://localhost:${platform.port}`, { ca });
    const authorization = `Bearer ${platform.key}`;
    const post = session.request({ ':path': '/services/echo/', ':method': 'POST', authorization });
    post.end(Buffer.alloc(3_000_000, 'x'));
    let text = '';
    post.on('data', (chunk) => (text += String(chunk)));
    await once(post, 'end');
    session.close();
    expect(JSON.parse(text)).toMatchObject({ bytes: 3_000_000, headers: { 'x-forwarded-proto': 'https' } });
    const socket = new WebSocket(`wss://localhost:${platform.port}/services/echo/`, { ca, headers: { authorization } });
    await once(socket, 'open');
    socket.send('hello');
    expect(String(((await once(socket, 'message')) as [Buffer])[0])).toBe('hello');
    socket.close();
    // Plain HTTP on the same port, from this machine.
    expect((await platform.fetch('/healthz')).status).toBe(200);
  });

  it('keeps limits exact: 50 clients at once against 100 a minute get exactly 100 through', async () => {
    await start('limits: { rules: [{ name: hundred, for: { service: echo }, requests: 100/minute }] }\n');
    const agents = await connections(50);
    const asked = agents.flatMap((agent) => Array.from({ length: 4 }, () => get('/services/echo/x', { agent })));
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(100);
    expect(statuses.filter((status) => status === 429)).toHaveLength(100);
  });

  it('takes a key back at once, on every connection', async () => {
    await start();
    const body = JSON.stringify({ name: 'short', roles: ['user'] });
    const headers = { 'content-type': 'application/json' };
    const made = await platform.fetch('/sutaz/v1/keys', { method: 'POST', body, headers });
    const { key, facts } = (await made.json()) as { key: string; facts: { keyId: string } };
    const agents = await connections(6);
    const ask = async (agent: Agent) => (await get('/v1/models', { agent, key })).status;
    expect(new Set(await Promise.all(agents.map(ask)))).toEqual(new Set([200]));
    expect((await platform.fetch(`/sutaz/v1/keys/${facts.keyId}`, { method: 'DELETE' })).ok).toBe(true);
    expect(new Set(await Promise.all(agents.map(ask)))).toEqual(new Set([401]));
  });
});

describe('a certificate that changes', () => {
  it('is the same at every worker, and the same as in the platform itself', async () => {
    const folder = join(testHome(), 'certificates');
    const authority = await makeAuthority('A test', Date.now());
    const put = async () => {
      const pair = await issue(authority, ['localhost', '127.0.0.1'], Date.now());
      await mkdir(folder, { recursive: true });
      for (const name of ['key', 'cert'] as const) {
        await writeFile(join(folder, 'new'), pair[name]);
        await rename(join(folder, 'new'), join(folder, `door.${name}`));
      }
    };
    const shown = async (): Promise<string> => {
      const options = { host: '127.0.0.1', port: platform.port, servername: 'localhost', ca: authority.cert };
      const socket = connect(options);
      await once(socket, 'secureConnect');
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const several = async () => new Set(await Promise.all(Array.from({ length: 8 }, shown)));
    await put();
    platform = await startPlatform({
      config: `listen: { tls: { cert: '${folder}/door.cert', key: '${folder}/door.key' }, workers: 2 }\n`,
    });
    pids = [platform.pid];
    await ready();
    const before = await several();
    expect(before.size).toBe(1);
    await put();
    await until(async () => [...(await several())].every((one) => !before.has(one)), 'the change', 20_000);
    expect((await several()).size).toBe(1);
  });
});

describe('a worker that is killed', () => {
  it('takes only its own connections along: their leases are given back, the others go on, and another one comes', async () => {
    await start();
    const [first = NaN] = workers();
    const ends = await Promise.allSettled(
      await (async () => {
        const begun = Promise.withResolvers<void>();
        let count = 0;
        const all = Array.from({ length: 8 }, () => {
          let isNew = true;
          return stream(150, 20, () => {
            if (isNew && ++count === 8) begun.resolve();
            isNew = false;
          });
        });
        all.forEach((one) => void one.catch(() => undefined));
        await begun.promise;
        expect((await platform.unit('echo')).leases).toBe(8);
        process.kill(first, 'SIGKILL');
        await until(async () => (await platform.unit('echo')).leases === 4, 'the leases to be given back', 2_000);
        return all;
      })(),
    );
    const whole = ends.filter((end) => end.status === 'fulfilled').map(({ value }) => events(value.text));
    expect(whole).toEqual([150, 150, 150, 150]);
    await ready();
    expect(workers()).not.toContain(first);
    await connections(6);
    expect((await platform.unit('echo')).leases).toBe(0);
  });

  it('leaves TLS to the platform itself while there is none, which stops as fast as ever', async () => {
    await start();
    await connections(4);
    for (const pid of workers()) process.kill(pid, 'SIGKILL');
    await until(() => workers().length === 0, 'both to end');
    expect((await get('/healthz')).status).toBe(200);
    process.kill(platform.pid, 'SIGTERM');
    await until(() => exited(platform.pid), 'the platform to end', 10_000);
  });
});

describe('a platform with workers', () => {
  it('lets streams come to their end when it stops, and its workers end with it', async () => {
    await start();
    const all = workers();
    const begun = Promise.withResolvers<void>();
    const streams = Array.from({ length: 4 }, () => stream(60, 20, () => begun.resolve()));
    await begun.promise;
    // One without TLS, which the platform itself has, and which ends last.
    const plain = platform.fetch('/services/echo/sse?count=120&every=20').then((answer) => answer.text());
    await until(async () => (await platform.unit('echo')).leases === 5, 'the streams to begin');
    // As a terminal or a service manager does: everybody of the group.
    for (const pid of [platform.pid, ...all]) process.kill(pid, 'SIGTERM');
    for (const { text } of await Promise.all(streams)) expect(events(text)).toBe(60);
    expect(events(await plain)).toBe(120);
    await until(() => [platform.pid, ...all].every(exited), 'all of them to end');
    expect(await platform.stop()).toBe(0);
  });

  it('takes its workers along when it is killed', async () => {
    await start();
    const all = workers();
    const broken = stream(500, 20).catch((error: unknown) => String(error));
    await until(async () => (await platform.unit('echo')).leases === 1, 'the stream to begin');
    const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith('sutaz-door-'));
    const before = folders().length;
    await platform.kill9();
    await until(() => all.every(exited), 'the workers to end');
    expect(folders().length).toBeLessThan(before);
    expect(await broken).toMatch(/cut|socket|aborted|reset/i);
  });

  it('is replaced while it runs, and cuts no stream', async () => {
    await start();
    const streams = Array.from({ length: 6 }, () => stream(100, 20));
    await until(async () => (await platform.unit('echo')).leases === 6, 'the streams to begin');
    const before = workers();
    const response = await platform.fetch('/sutaz/v1/restart', { method: 'POST' });
    const next = (await response.json()) as ApiRestarted;
    pids.push(next.pid);
    expect((await get('/healthz')).status).toBe(200);
    for (const { text } of await Promise.all(streams)) expect(events(text)).toBe(100);
    await until(() => workers(next.pid).length === 2, 'workers of the next one');
    // Connections that `fetch` keeps would hold the first one until they are used again.
    const used = () => Promise.all([platform.unit('echo'), platform.unit('echo'), platform.unit('echo')]);
    const ended = async () => (await used(), [...before, platform.pid].every(exited));
    await until(ended, 'the first platform to end', 30_000);
  });
});
