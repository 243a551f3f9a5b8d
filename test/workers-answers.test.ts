import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ApiLimits } from '#contracts/limits-api';
import { echoService, root, startPlatform, testHome } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { exited, until } from './_processes.ts';
import { converse } from './_raw.ts';
import { workersOf, workersReady } from './_workers.ts';
import { event, file, fileBytes, openFar } from './fixtures/far.ts';
import type { Far } from './fixtures/far.ts';

/** Long answers, whose rest workers pass on: over HTTP, from servers elsewhere and from what the platform runs. */

let platform: TestPlatform;
let far: Far;
beforeAll(async () => void (far = await openFar()));
afterAll(() => far.close());
afterEach(async () => {
  const all = [platform.pid, ...workersOf(platform.pid)];
  await platform.stop();
  await until(() => all.every(exited), 'all of them to end');
  far.cut();
});

async function start(more = ''): Promise<void> {
  const url = `http://127.0.0.1:${far.port}`;
  const external = (id: string, extra: string) => `id: ${id}
name: Far
summary: A server elsewhere
category: inference
${extra}run: { external: { url: '${url}' } }
resources: { memory: 56MiB }
`;
  const catalog = {
    'services/echo.yaml': echoService('echo', { dir: `${root}test` }),
    'services/late.yaml': echoService('late', { dir: `${root}test`, delayMs: 2_500 }),
    'services/far.yaml': external('far', ''),
    'services/engine.yaml': external('engine', 'kind: engine\nmodels: remote\nprovides: [openai.chat, openai.usage]\n'),
    'models/tiny.yaml':
      'id: tiny:1b\nname: Tiny\nsummary: A model elsewhere\nengine: engine\nremote: { model: tiny }\nsize: 0\n',
  };
  // Of its own: what a budget of a day has used outlives a platform, and other tests of a run read theirs.
  const home = join(testHome(), 'answers');
  platform = await startPlatform({ home, config: `listen: { workers: 2 }\n${more}`, catalog });
  await workersReady(platform);
}

interface Got {
  readonly status: number;
  readonly text: string;
}

interface Asked {
  readonly agent?: Agent;
  readonly accept?: string;
  readonly body?: string;
  readonly onText?: (text: string, res: IncomingMessage) => void;
}

/** Rejects an answer that was cut. */
function get(
  path: string,
  { agent = new Agent(), accept = '*/*', body, onText = () => undefined }: Asked = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${platform.key}`, accept };
    const method = body === undefined ? 'GET' : 'POST';
    const req = request({ host: '127.0.0.1', port: platform.port, path, agent, headers, method }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => onText((text += chunk), res));
      res.on('end', () => (res.complete ? resolve({ status: res.statusCode ?? 0, text }) : reject(new Error('cut'))));
      res.on('error', () => reject(new Error(`cut after: ${text.slice(-200)}`)));
    });
    req.on('error', reject).end(body);
  });
}

const kept = (): Agent => new Agent({ keepAlive: true, maxSockets: 1 });
const stream = (count: number, every: number) => get(`/services/echo/sse?count=${count}&every=${every}`);
const eventsOf = (text: string) => text.match(/^data: \d+$/gm)?.length ?? 0;

/** What the metrics say of workers, of each one. */
async function told(metric: 'answers' | 'bytes_total' | 'process_id'): Promise<number[]> {
  const text = await (await platform.fetch('/metrics')).text();
  return [...text.matchAll(new RegExp(`^sutaz_worker_${metric}\\{.*\\} (\\d+)$`, 'gm'))].map(([, value]) =>
    Number(value),
  );
}
const sum = (values: readonly number[]) => values.reduce((all, one) => all + one, 0);
/** How many answers are with workers now. */
const lent = async () => sum(await told('answers'));
const untilLent = (count: number) => until(async () => (await lent()) === count, `${count} answers to be with workers`);
/** Does the work, some of which workers must have passed on. */
async function passedOn<T>(work: () => Promise<T>, fewestBytes = 1): Promise<T> {
  const before = sum(await told('bytes_total'));
  const done = await work();
  await until(async () => sum(await told('bytes_total')) >= before + fewestBytes, 'a worker to tell of it');
  return done;
}
const leases = async () => (await platform.unit('echo')).leases;

/** A connection of which every byte is seen. */
async function raw(path: string): Promise<{ readonly socket: Socket; readonly text: () => string }> {
  const socket = connect(platform.port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString('latin1'))).on('error', () => undefined);
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${platform.key}\r\n\r\n`);
  await once(socket, 'data');
  return { socket, text: () => text };
}

describe('the rest of an answer that a worker passes on', () => {
  it('is the same to the byte, and both connections are used again', async () => {
    await start();
    const agent = kept();
    const whole = Array.from({ length: 60 }, (_, i) => event(i + 1)).join('') + 'data: [DONE]\n\n';
    const before = far.connections.size;
    for (let round = 0; round < 3; round++) {
      const got = await passedOn(() => get('/services/far/events?count=60&every=5', { agent }));
      expect(got).toEqual({ status: 200, text: whole });
      expect((await get('/services/far/x', { agent })).text).toBe('{}');
    }
    expect(far.connections.size - before).toBeLessThanOrEqual(1);
    const sockets = Object.values(agent.freeSockets).flat().length;
    expect(sockets).toBe(1);
    agent.destroy();
    await untilLent(0);
  });

  it('is also that of a stream which waited for its service, and was told so', async () => {
    await start();
    const asked = get('/services/late/sse?count=60&every=10', { accept: 'text/event-stream' });
    await untilLent(1);
    const { text } = await asked;
    expect(text).toMatch(/^: \{/);
    expect(eventsOf(text)).toBe(60);
    expect(text).toMatch(/data: 59\n\n$/);
  });

  it('leaves what the client says next to the platform: in its order, and not one byte to the worker', async () => {
    await start();
    const one = (path: string, more = '') =>
      `GET ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${platform.key}\r\n${more}\r\n`;
    const said = await converse(platform.port, [
      one('/services/far/events?count=60&every=2'),
      { until: '"40"' },
      one('/services/far/x'),
      one('/services/far/events?count=50&every=1'),
      one('/services/far/x', 'connection: close\r\n'),
    ]);
    expect(said.whole).toBe(true);
    expect(said.statuses).toEqual([200, 200, 200, 200]);
    const counts = said.bodies.map((body) => body.match(/^data: \{/gm)?.length ?? 0);
    expect(counts).toEqual([60, 0, 50, 0]);
  });

  it('is a file, too, of a length that was told', async () => {
    await start();
    const agent = kept();
    const digest = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');
    for (let round = 0; round < 3; round++) {
      // All but the first megabytes.
      const { text } = await passedOn(() => get('/services/far/file', { agent }), fileBytes / 2);
      expect(digest(text)).toBe(digest(file));
    }
    expect((await get('/services/far/x', { agent })).text).toBe('{}');
    agent.destroy();
  });

  it('that its server breaks off ends with an event that says so, and is cut; so is one that is no HTTP any more', async () => {
    await start();
    for (const [end, why] of [
      ['cut', 'broke off'],
      ['odd', 'HTTP/1.1'],
    ] as const) {
      const text = await passedOn(async () => {
        const one = await raw(`/services/far/events?count=60&every=3&end=${end}`);
        await once(one.socket, 'close');
        return one.text;
      });
      expect(text()).toContain('"60"');
      expect(text()).toContain(why);
      expect(text()).not.toMatch(/\r\n0\r\n\r\n$/);
    }
    await untilLent(0);
  });

  it('reaches only as far as its client: who leaves is told upstream at once', async () => {
    await start();
    const { socket } = await raw('/services/far/events?count=1000&every=5');
    await untilLent(1);
    expect(far.answers.size).toBe(1);
    const left = performance.now();
    socket.destroy();
    await until(() => far.answers.size === 0, 'the server to hear of it', 1_000);
    expect(performance.now() - left).toBeLessThan(250);
    await untilLent(0);
  });

  it('waits for a reader that is slow, which holds back only itself', async () => {
    await start();
    const { socket, text } = await raw('/services/far/flood');
    await untilLent(1);
    socket.pause();
    const taken = text().length;
    const slow = [...far.answers][0];
    const sent = () => slow?.socket?.bytesWritten ?? 0;
    let before = -1;
    await until(async () => {
      const same = sent() === before;
      before = sent();
      expect(eventsOf((await stream(60, 5)).text)).toBe(60);
      return same;
    }, 'the server to be held back');
    // What two kernels and three processes hold between them.
    expect(before - taken).toBeLessThan(64 * 2 ** 20);
    const others = await Promise.all(Array.from({ length: 6 }, () => stream(60, 5)));
    expect(others.map((one) => eventsOf(one.text))).toEqual(Array(6).fill(60));
    socket.resume();
    await until(() => sent() > before + 2 ** 20, 'the flood to go on');
    socket.destroy();
    await untilLent(0);
  });
});

describe('limits with workers', () => {
  it('are exact: 50 clients at once against 100 streams a minute get exactly 100, each of them whole', async () => {
    await start('limits: { rules: [{ name: hundred, for: { service: echo }, requests: 100/minute }] }\n');
    const agents = Array.from({ length: 50 }, kept);
    const asked = agents.flatMap((agent) =>
      Array.from({ length: 4 }, () => get('/services/echo/sse?count=40&every=4', { agent })),
    );
    const all = await passedOn(() => Promise.all(asked));
    const letIn = all.filter(({ status }) => status === 200);
    expect(letIn).toHaveLength(100);
    expect(all.filter(({ status }) => status === 429)).toHaveLength(100);
    for (const { text } of letIn) expect(eventsOf(text)).toBe(40);
    for (const agent of agents) agent.destroy();
  });

  const used = async (): Promise<number> => {
    const { limits } = (await (await platform.fetch('/sutaz/v1/limits')).json()) as ApiLimits;
    return limits[0]?.accounts[0]?.quotas[0]?.used ?? 0;
  };
  const budget = 'limits: { rules: [{ name: budget, each: model, tokens: 100000/day }] }\n';
  const body = JSON.stringify({ model: 'tiny:1b', stream: true, messages: [{ role: 'user', content: 'Hi' }] });

  it('settle tokens to the token where the client leaves the stream, and show it no usage it did not ask for', async () => {
    await start(budget);
    const before = await used();
    for (let round = 1; round <= 2; round++) {
      const agent = new Agent();
      let seen = '';
      const onText = (text: string) => void (seen = text);
      const left = get('/v1/chat/completions', { agent, body, onText }).catch((error: unknown) => String(error));
      await untilLent(1);
      // The engine says 60 pieces, and then nothing more: what it has told by then is what it has used.
      await until(() => seen.includes('"content":"60"'), 'the last piece');
      expect(seen).not.toContain('usage');
      agent.destroy();
      await left;
      await until(async () => (await used()) === before + round * (7 + 60), 'the tokens to be settled');
    }
  });

  it('settle what a worker had told of when it is killed, and give the rest of the reservation back', async () => {
    await start(budget);
    const before = await used();
    let seen = '';
    const onText = (text: string) => void (seen = text);
    const cut = get('/v1/chat/completions', { body, onText }).catch((error: unknown) => String(error));
    await untilLent(1);
    await until(() => seen.includes('"content":"60"'), 'the last piece');
    let last = -1;
    // It tells ten times a second, and has nothing more to tell.
    await until(async () => {
      const bytes = sum(await told('bytes_total'));
      const isAll = bytes === last && bytes > 0;
      last = bytes;
      // Of so few pieces that no worker has a part in it.
      await get('/services/far/events?count=10&every=15');
      return isAll;
    }, 'all to be told of');
    for (const pid of workersOf(platform.pid)) process.kill(pid, 'SIGKILL');
    expect(await cut).toMatch(/cut after|hang up|ECONNRESET/);
    await until(async () => (await used()) === before + 7 + 60, 'the tokens to be settled');
  });

  it('count the bytes that workers wrote', async () => {
    await start('limits: { rules: [{ name: bytes, for: { service: far }, bytes: 1GiB/day }] }\n');
    await get('/services/far/file');
    await until(async () => (await used()) > fileBytes, 'the bytes to be counted');
    expect(await used()).toBeLessThan(fileBytes + 2_000);
    const { text } = await get('/services/far/events?count=300&every=2');
    const size = Buffer.byteLength(text);
    await until(async () => (await used()) > fileBytes + size, 'the bytes to be counted');
    expect(await used()).toBeLessThan(fileBytes + size + 10_000);
  });
});

describe('a worker that is killed', () => {
  it('gives its leases back, and its streams end so that nobody takes them for whole; the others go on', async () => {
    await start();
    const streams = await Promise.all(Array.from({ length: 8 }, () => raw('/services/echo/sse?count=250&every=20')));
    await untilLent(8);
    expect(await leases()).toBe(8);
    const [[first = NaN], [lost = 0]] = [await told('process_id'), await told('answers')];
    expect(lost).toBeGreaterThan(0);
    expect(lost).toBeLessThan(8);
    const closed = streams.map(({ socket }) => once(socket, 'close'));
    process.kill(first, 'SIGKILL');
    await until(async () => (await leases()) === 8 - lost, 'the leases to be given back', 2_000);
    await until(() => streams.filter(({ socket }) => socket.destroyed).length === lost, 'its streams to end', 2_000);
    const cut = streams.filter(({ socket }) => socket.destroyed);
    for (const { text } of cut) {
      expect(text()).not.toMatch(/\r\n0\r\n\r\n$/);
      expect(text()).not.toContain('has ended');
    }
    const whole = streams.filter((one) => !cut.includes(one));
    await until(() => whole.every(({ text }) => text().endsWith('0\r\n\r\n')), 'the others to end well');
    for (const { text } of whole) expect(eventsOf(text())).toBe(250);
    await workersReady(platform);
    const next = stream(60, 5);
    await untilLent(1);
    expect(eventsOf((await next).text)).toBe(60);
    for (const { socket } of whole) socket.destroy();
    await Promise.all(closed);
    expect(await leases()).toBe(0);
  });
});

it('a worker that hangs holds no lease of those who leave for longer than five seconds', async () => {
  await start();
  const { socket } = await raw('/services/echo/sse?count=2000&every=20');
  await untilLent(1);
  for (const pid of workersOf(platform.pid)) process.kill(pid, 'SIGSTOP');
  socket.destroy();
  await until(async () => (await leases()) === 0, 'the lease to be given back', 8_000);
  for (const pid of workersOf(platform.pid)) process.kill(pid, 'SIGCONT');
});

describe('a platform with workers', () => {
  it('lets their streams come to their end when it stops', async () => {
    await start();
    const all = workersOf(platform.pid);
    const streams = Array.from({ length: 6 }, () => stream(150, 10));
    await untilLent(6);
    // As a terminal or a service manager does: everybody of the group.
    for (const pid of [platform.pid, ...all]) process.kill(pid, 'SIGTERM');
    for (const { text } of await Promise.all(streams)) expect(eventsOf(text)).toBe(150);
    await until(() => [platform.pid, ...all].every(exited), 'all of them to end');
    expect(await platform.stop()).toBe(0);
  });

  it('takes 60 reloads of routes and limits under load: no request fails, no stream is cut, and none sees a mixture', async () => {
    const file = (round: number) => `listen: { workers: 2 }
limits: { rules: [{ name: most, for: { service: echo }, requests: ${10_000_000 + round}/minute }] }
routes:
  by-round:
    match: { path: /rounds/* }
    to: { service: echo }
    with:
      - stripPrefix: /rounds
      - requestHeaders: { set: { x-round: '${round}' } }
      - responseHeaders: { set: { x-round: '${round}' } }
`;
    await start(file(0).replace(/^listen.*\n/, ''));
    const bad: unknown[] = [];
    let [running, answered, last] = [true, 0, -1];
    const one = (agent: Agent) => {
      let [round, policy] = ['', ''];
      const onText = (_: string, { headers }: IncomingMessage) => {
        round = String(headers['x-round']);
        policy = String(headers['ratelimit-policy']);
      };
      return get('/rounds/x', { agent, onText }).then(({ status, text }) => {
        const { headers } = JSON.parse(text) as { headers: Record<string, string> };
        const isOne = headers['x-round'] === round && policy.includes(String(10_000_000 + Number(round)));
        if (status === 200 && isOne) answered++;
        else bad.push({ status, round, policy, headers });
        last = Math.max(last, Number(round));
      });
    };
    const client = async () => {
      const agent = kept();
      while (running) await one(agent).catch((error: unknown) => bad.push(String(error)));
      agent.destroy();
    };
    const load = Array.from({ length: 4 }, client);
    const streams = Array.from({ length: 4 }, async () => {
      let count = 0;
      while (running) {
        const { text } = await get('/rounds/sse?count=60&every=5');
        expect(eventsOf(text)).toBe(60);
        count++;
      }
      return count;
    });
    for (let round = 1; round <= 60; round++) {
      await writeFile(join(platform.home, 'sutaz.yaml'), file(round));
      process.kill(platform.pid, 'SIGHUP');
      await until(() => last === round, `round ${round} to be seen`);
    }
    expect(sum(await told('bytes_total'))).toBeGreaterThan(0);
    running = false;
    await Promise.all(load);
    for (const count of await Promise.all(streams)) expect(count).toBeGreaterThan(0);
    expect(bad).toEqual([]);
    expect(answered).toBeGreaterThan(60);
  });
});
