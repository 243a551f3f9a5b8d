import { once } from 'node:events';
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { look, untilHealthy } from './health.ts';
import { freePort } from './ports.ts';

let folder: string;
let logFile: string;
const closers: (() => void)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sutaz-health-'));
  logFile = join(folder, 'log');
});
afterEach(() => {
  for (const close of closers.splice(0)) close();
  rmSync(folder, { recursive: true });
});

const forever = new AbortController().signal;
async function serve(listener: RequestListener) {
  const server = createServer(listener);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port, logFile };
}

describe('a look by HTTP', () => {
  it.each([
    [200, '', { ok: true }],
    [204, '', { ok: true }],
    [302, '', { ok: false, why: '/up answers 302' }],
    [503, '{"progress":0.425}', { ok: false, why: '/up answers 503', percent: 43 }],
    [503, '{"progress":"half"}', { ok: false, why: '/up answers 503' }],
    [500, '<html>', { ok: false, why: '/up answers 500' }],
  ])('at %i %s', async (status, body, health) => {
    const target = await serve((_, res) => res.writeHead(status).end(status === 204 ? undefined : body));
    expect(await look({ http: '/up' }, target, forever)).toEqual(health);
  });

  it('at one that breaks off, or is not there, is an answer too', async () => {
    const broken = await serve((_, res) => {
      res.writeHead(200, { 'content-length': '9' }).write('x', () => res.destroy());
    });
    expect(await look({ http: '/' }, broken, forever)).toMatchObject({ ok: false });
    const none = { host: '127.0.0.1', port: await freePort(), logFile };
    expect(await look({ http: '/' }, none, forever)).toMatchObject({ ok: false });
    expect(await look({ tcp: true }, none, forever)).toMatchObject({ ok: false });
  });

  it('ends at once with its signal', async () => {
    const leaving = new AbortController();
    const target = await serve(() => leaving.abort());
    expect(await look({ http: '/' }, target, leaving.signal)).toMatchObject({ ok: false });
  });
});

describe('a look by TCP or by the log', () => {
  it('finds a port that accepts', async () => {
    expect(await look({ tcp: true }, await serve(() => undefined), forever)).toEqual({ ok: true });
  });

  it('regression: what an earlier instance logged does not count for this one', async () => {
    const target = { host: 'h', port: 1, logFile };
    const check = { log: '^ready' };
    expect(await look(check, target, forever)).toMatchObject({ ok: false, why: 'it has not logged anything yet' });
    writeFileSync(logFile, 'ready\n');
    expect(await look(check, { ...target, logFrom: 6 }, forever)).toMatchObject({ ok: false });
    appendFileSync(logFile, 'begins\nready now\n');
    expect(await look(check, { ...target, logFrom: 6 }, forever)).toEqual({ ok: true });
    truncateSync(logFile, 0);
    appendFileSync(logFile, 'ready');
    expect(await look(check, { ...target, logFrom: 6 }, forever)).toEqual({ ok: true });
  });
});

it('looks again, ever more seldom, until it is well', async () => {
  const clock = fakeClock();
  let asked = 0;
  const target = await serve((_, res) => res.writeHead(++asked < 3 ? 503 : 200).end());
  const seen: unknown[] = [];
  const waiting = untilHealthy({ http: '/' }, target, {
    clock,
    signal: forever,
    onLook(health) {
      seen.push(health);
      setImmediate(() => clock.advance(250));
    },
  });
  await waiting;
  expect(seen).toHaveLength(2);
  expect(clock.pending).toBe(0);
});

it('stops looking with its signal, and leaves no timer', async () => {
  const clock = fakeClock();
  const leaving = new AbortController();
  const waiting = untilHealthy(
    { log: 'x' },
    { host: 'h', port: 1, logFile },
    {
      clock,
      signal: leaving.signal,
      onLook: () => setImmediate(() => leaving.abort()),
    },
  );
  await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(clock.pending).toBe(0);
});
