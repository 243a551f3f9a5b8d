import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestPlatform } from '../_platform.ts';
import { exited } from '../_processes.ts';
import { ask, definitionOf, http, misbehaving, platformBefore, readAll, runs } from './_upstream.ts';
import type { Manner, Misbehaving } from './_upstream.ts';

const ok = 'HTTP/1.1 200 OK';

/** What comes in place of an answer, by path. */
const faults: Readonly<Record<string, Manner>> = {
  '/reset-before': (socket) => void socket.resetAndDestroy(),
  '/closed-before': (socket) => void socket.end(),
  '/reset-in-head': (socket) => void socket.write(`${ok}\r\ncontent-`, () => socket.resetAndDestroy()),
  '/closed-in-head': (socket) => void socket.end(`${ok}\r\ncontent-`),
  '/garbage': (socket) => void socket.end('\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'),
  '/another-protocol': (socket) => void socket.end('SSH-2.0-OpenSSH_9.2\r\n\r\n'),
  '/two-lengths': (socket) => void socket.end(http(ok, 'content-length: 2', 'content-length: 3', '', 'ok!')),
  '/length-and-chunks': (socket) =>
    void socket.end(http(ok, 'content-length: 2', 'transfer-encoding: chunked', '', '2', 'ok', '0', '', '')),
  '/folded': (socket) => void socket.end(http(ok, 'a: 1', ' 2', 'content-length: 0', '', '')),
  '/huge-head': (socket) => void socket.end(http(ok, `a: ${'x'.repeat(200_000)}`, 'content-length: 0', '', '')),
  '/interim-for-ever': (socket) => flood(socket, http('HTTP/1.1 102 Processing', '', '')),
  '/switches': (socket) => void socket.end(http('HTTP/1.1 101 Switching Protocols', 'upgrade: x', '', '')),
};

/** Those that begin as they should: the answer breaks off. */
const breaking: Readonly<Record<string, Manner>> = {
  '/short': (socket) => void socket.end(http(ok, 'content-length: 99', '', 'half')),
  '/reset-in-body': (socket) =>
    void socket.write(http(ok, 'content-length: 99', '', 'half'), () => socket.resetAndDestroy()),
  '/odd-chunk': (socket) => void socket.end(http(ok, 'transfer-encoding: chunked', '', '2', 'ok', 'no', '', '')),
};

function flood(socket: Socket, text: string): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(text));
    if (!socket.destroyed) socket.once('drain', more);
  };
  more();
}

/** Answers, and closes the connection a moment later, whether it is used again by then or not. */
function restless(socket: Socket): void {
  socket.write(http(ok, 'content-length: 2', '', 'ok'));
  setTimeout(() => socket.destroy(), Math.random() * 4);
}

let upstream: Misbehaving;
let platform: TestPlatform;
beforeAll(async () => {
  upstream = await misbehaving((socket, path) => {
    const manner = faults[path] ?? breaking[path] ?? (path === '/restless' ? restless : null);
    if (manner) manner(socket, path);
    else socket.write(http(ok, 'content-length: 2', '', 'ok'));
  });
  const gone = await misbehaving(() => undefined);
  await gone.close();
  platform = await platformBefore(upstream, { catalog: { 'services/gone.yaml': definitionOf('gone', gone.url) } });
});
afterAll(async () => {
  await platform?.stop();
  await upstream?.close();
});

async function isWell(): Promise<void> {
  expect(exited(platform.pid)).toBe(false);
  expect(await readAll(await ask(platform, '/well'))).toEqual({ status: 200, text: 'ok', clean: true });
}

describe('R8 crash-proof', () => {
  it.each(Object.keys(faults))(
    'R8 crash-proof: %s is answered with 502 and a reason, and the next is served',
    async (path) => {
      const { status, text, clean } = await readAll(await ask(platform, path, { method: 'POST', body: '{}' }));
      expect({ status, clean }).toEqual({ status: 502, clean: true });
      expect(JSON.parse(text)).toMatchObject({ status: 502, code: 'UPSTREAM_FAILED' });
      await isWell();
    },
  );

  it.each(Object.keys(breaking))('R8 crash-proof: %s breaks off for the client too', async (path) => {
    expect((await readAll(await ask(platform, path))).clean).toBe(false);
    await isWell();
  });

  it('R8 crash-proof: one that refuses connections is answered with 502', async () => {
    const response = await platform.fetch('/services/gone/', { method: 'POST', body: '{}' });
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ code: 'UPSTREAM_FAILED' });
  });
});

it('R12 keep-alive-race: a server that closes kept connections at random costs no client its answer', async () => {
  let failed = 0;
  const client = async (): Promise<void> => {
    for (let i = 0; i < 150 * runs; i++) {
      const { status, text } = await readAll(await ask(platform, '/restless'));
      if (status !== 200 || text !== 'ok') failed++;
    }
  };
  await Promise.all(Array.from({ length: 8 }, client));
  expect(failed).toBe(0);
});
