import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { echoService, root } from '../_platform.ts';
import type { TestPlatform } from '../_platform.ts';
import { until } from '../_processes.ts';
import { ask, chunk, eventStream, http, misbehaving, platformBefore, quantile, readAll, runs } from './_upstream.ts';
import type { Misbehaving } from './_upstream.ts';

const events = 60;
const event = (n: number): string => `data: {"n":${n},"text":"${'é∑x'.repeat(1 + (n % 7))}"}\n\n`;
/** Bytes of an answer that is larger than all buffers on its way. */
const large = 64 * 2 ** 20;

/** When the connection of a stream was seen to close, by the path that was asked for. */
const closedAt = new Map<string, number>();
let sentLarge = 0;

function answer(socket: Socket, path: string): void {
  if (path.startsWith('/endless')) {
    socket.once('close', () => closedAt.set(path, performance.now()));
    socket.write(eventStream + chunk('data: first\n\n'));
  } else if (path.startsWith('/paced')) pace(socket);
  else if (path === '/large') fill(socket);
  else if (path === '/silent') socket.write(eventStream + chunk('data: first\n\n'));
  else if (path === '/small') socket.write(http('HTTP/1.1 200 OK', 'content-length: 2', '', 'ok'));
  else broken(socket, path);
}

/** Breaks off after three events, in the way that the path says. */
function broken(socket: Socket, path: string): void {
  socket.write(eventStream + [0, 1, 2].map((n) => chunk(event(n))).join(''), () => {
    if (path === '/reset') socket.resetAndDestroy();
    else if (path === '/ended') socket.end();
    else if (path === '/half-chunk') socket.end('40\r\ndata: "half');
    else socket.end('zz\r\nno chunk');
  });
}

function pace(socket: Socket): void {
  let n = 0;
  socket.write(eventStream);
  const timer = setInterval(() => {
    if (n < events) return void socket.write(chunk(event(n++)));
    clearInterval(timer);
    socket.write('0\r\n\r\n');
  }, 10);
  socket.once('close', () => clearInterval(timer));
}

function fill(socket: Socket): void {
  const piece = Buffer.alloc(65_536, 'x');
  socket.write(http('HTTP/1.1 200 OK', `content-length: ${large}`, '', ''));
  const more = (): void => {
    while (sentLarge < large) {
      sentLarge += piece.byteLength;
      if (!socket.write(piece)) return void socket.once('drain', more);
    }
  };
  more();
}

let upstream: Misbehaving;
let platform: TestPlatform;
beforeAll(async () => {
  upstream = await misbehaving(answer);
  const catalog = { 'services/echo.yaml': echoService('echo', { dir: `${root}test` }) };
  platform = await platformBefore(upstream, { catalog }, ', timeouts: { idle: 1s }');
});
afterAll(async () => {
  await platform?.stop();
  await upstream?.close();
});

const residentMb = (): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${platform.pid}/status`, 'utf8'))?.[1]) / 1024;

describe('R1 abort-propagates', () => {
  it('R1 abort-propagates: who leaves has the upstream left within 50 ms, and nothing stays open', async () => {
    const took: number[] = [];
    for (let i = 0; i < 50 * runs; i++) {
      const path = `/endless/${i}`;
      const res = await ask(platform, path);
      res.on('error', () => undefined);
      await once(res, 'data');
      const left = performance.now();
      res.destroy();
      await until(() => closedAt.has(path), 'the upstream to be left');
      took.push((closedAt.get(path) ?? 0) - left);
    }
    expect(quantile(took, 0.5)).toBeLessThanOrEqual(50);
    await until(() => upstream.open.size === 0, 'all connections to be closed');
  });

  it('R1 abort-propagates: the place on the unit is given back', async () => {
    const leaving = new AbortController();
    const response = await platform.fetch('/services/echo/sse?every=50', { signal: leaving.signal });
    expect(response.status).toBe(200);
    expect((await platform.unit('echo')).leases).toBe(1);
    leaving.abort();
    await until(async () => (await platform.unit('echo')).leases === 0, 'the place to be free');
  });
});

describe('R2 no-silent-truncation', () => {
  it.each(['/reset', '/ended', '/half-chunk', '/no-chunk'])(
    'R2 no-silent-truncation: a stream that breaks off (%s) ends with an error, and not cleanly',
    async (path) => {
      const { text, clean } = await readAll(await ask(platform, path));
      const whole = Buffer.from([0, 1, 2].map(event).join('')).toString('latin1');
      expect(text.startsWith(whole)).toBe(true);
      expect(text.slice(whole.length)).toMatch(/event: error\ndata: \{.*upstream/is);
      expect(text).not.toContain('[DONE]');
      expect(clean).toBe(false);
    },
  );
});

it('R3 chunk-fidelity: every stream is the same bytes in the same order, each event when it is sent', async () => {
  const wanted = createHash('sha256');
  for (let n = 0; n < events; n++) wanted.update(event(n));
  const hash = wanted.digest('hex');
  const streams = await Promise.all(
    Array.from({ length: 20 * runs }, async (_, i) => {
      const res = await ask(platform, `/paced/${i}`);
      const got = createHash('sha256');
      let pieces = 0;
      for await (const piece of res as AsyncIterable<Buffer>) {
        got.update(piece);
        pieces++;
      }
      return { hash: got.digest('hex'), pieces };
    }),
  );
  for (const one of streams) expect(one.hash).toBe(hash);
  // What a busy machine lets pile up comes together; what is held back comes all at once.
  expect(
    quantile(
      streams.map(({ pieces }) => pieces),
      0.5,
    ),
  ).toBeGreaterThan(events / 2);
});

it('R4 slow-reader: one that does not read holds back its own upstream, takes no memory, and slows nobody', async () => {
  const before = residentMb();
  const res = await ask(platform, '/large');
  res.on('error', () => undefined);
  let last = -1;
  // What fits into the buffers of sockets is sent, and then nothing more.
  await until(async () => {
    const same = sentLarge === last;
    last = sentLarge;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return same && sentLarge > 0;
  }, 'the upstream to be held back');
  expect(sentLarge).toBeLessThan(large / 2);
  for (let i = 0; i < 20; i++) expect((await readAll(await ask(platform, '/small'))).text).toBe('ok');
  expect(residentMb() - before).toBeLessThan(12);
  let bytes = 0;
  for await (const piece of res as AsyncIterable<Buffer>) bytes += piece.byteLength;
  expect(bytes).toBe(large);
});

it('R5 head-of-line: a prompt of 10 MB and a long stream do not hold up small requests', async () => {
  const small = async (): Promise<number> => {
    const began = performance.now();
    await readAll(await ask(platform, '/small'));
    return performance.now() - began;
  };
  const many = async (): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < 40 * runs; i++) times.push(await small());
    return quantile(times, 0.5);
  };
  await many();
  const alone = await many();
  const body = Buffer.alloc(10 * 2 ** 20, 'x');
  const busy = [ask(platform, '/small', { method: 'POST', body }), ask(platform, '/paced/long')].map(async (asked) =>
    readAll(await asked),
  );
  const beside = await many();
  expect(beside).toBeLessThanOrEqual(Math.max(2 * alone, alone + 10));
  for (const one of await Promise.all(busy)) expect(one).toMatchObject({ status: 200, clean: true });
});

it('R7 idle-stream timeout: a stream that says nothing any more ends with an error when its time is up', async () => {
  const began = performance.now();
  const { text, clean } = await readAll(await ask(platform, '/silent'));
  const took = performance.now() - began;
  expect(text).toMatch(/^data: first\n\nevent: error\ndata: \{.*said nothing any more for 1 s/s);
  expect(clean).toBe(false);
  // The wait itself may be late by a tenth; the rest is what a busy machine adds.
  expect(took).toBeGreaterThan(900);
  expect(took).toBeLessThan(2_500);
});
