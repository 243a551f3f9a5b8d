import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import type { ApiEvent, ApiLedgerLines } from '#contracts/api';
import { define, echoService, followEvents, root, startPlatform } from './_platform.ts';
import type { StartOptions, TestPlatform } from './_platform.ts';
import { exited, isFrozen, until } from './_processes.ts';

let platform: TestPlatform;
const dir = `${root}test`;
const start = async (options: StartOptions) => (platform = await startPlatform(options));
afterEach(async () => void (await platform.stop()));

const one = (id: string, options: Partial<Parameters<typeof echoService>[1]> = {}) => ({
  [`services/${id}.yaml`]: echoService(id, { dir, ...options }),
});

/** A bare request: fetch would not let a test set Host or leave in the middle. */
function ask(path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const all = { authorization: `Bearer ${platform.key}`, ...headers };
    request({ host: '127.0.0.1', port: platform.port, path, headers: all }, resolve).on('error', reject).end();
  });
}

async function text(response: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return body;
}

const logTypes = (seen: readonly { event: string; data: unknown }[], unit: string) =>
  seen
    .filter(({ event, data }) => event === 'log' && (data as ApiEvent).unit === unit)
    .map(({ data }) => (data as ApiEvent).type);

describe('a service that is asked for', () => {
  it('wakes, goes cold when left alone, keeps its address and wakes again', async () => {
    await start({ catalog: one('nap', { idle: '300ms' }) });
    const events = followEvents(platform);
    const first = await platform.fetch('/services/nap/hello?x=1');
    expect(await first.json()).toMatchObject({ url: '/hello?x=1' });
    expect(first.headers.get('server-timing')).toMatch(/^queue;dur=[\d.]+, wake;dur=[1-9][\d.]*, upstream;dur=[\d.]+$/);
    const pid = (await platform.unit('nap')).instance?.pid ?? 0;
    await platform.untilState('nap', 'cold');
    expect(exited(pid)).toBe(true);
    const byHost = await ask('/again', { host: `nap.localhost:${platform.port}` });
    expect(JSON.parse(await text(byHost))).toMatchObject({ url: '/again' });
    await until(
      () => logTypes(events.seen, 'service/nap').filter((type) => type === 'ready').length === 2,
      'two wakes told',
    );
    expect(logTypes(events.seen, 'service/nap').slice(0, 4)).toEqual(['start', 'ready', 'stop', 'cold']);
    await events.stop();
  });

  it('freezes where its definition says so, and thaws for the next request as the same process', async () => {
    const freezing = echoService('frost', { dir, idle: '300ms' }).replace('rung: cold', 'rung: frozen');
    await start({ catalog: { 'services/frost.yaml': freezing } });
    const { pid } = (await (await platform.fetch('/services/frost/x')).json()) as { pid: number };
    await platform.untilState('frost', 'frozen');
    expect(isFrozen(pid)).toBe(true);
    const again = await platform.fetch('/services/frost/x');
    expect(await again.json()).toMatchObject({ pid });
    await platform.untilState('frost', 'frozen');
    // A frozen instance is stopped with the rest.
    expect(await platform.stop()).toBe(0);
    expect(exited(pid)).toBe(true);
  });

  it('shows a browser a page that waits, and then itself, at the same address', async () => {
    await start({ catalog: one('slowpage', { delayMs: 1200 }) });
    const look = () => platform.fetch('/services/slowpage/page', { headers: { accept: 'text/html' } });
    const waiting = await look();
    expect(waiting.status).toBe(503);
    expect(waiting.headers.get('retry-after')).toBe('1');
    const page = await waiting.text();
    expect(page).toContain('http-equiv="refresh" content="1"');
    expect(page).toContain('Echo slowpage is waking');
    let last = '';
    await until(async () => (last = await (await look()).text()).includes('the real page'), 'the real page');
    expect(last).toBe('<h1>the real page</h1>');
  });

  it('forgets a client that left, and calls off a start that was only for it', async () => {
    await start({ catalog: one('late', { delayMs: 20_000 }) });
    const leaving = new AbortController();
    const asked = platform.fetch('/services/late/x', { signal: leaving.signal }).catch(() => 'left');
    await platform.untilState('late', 'starting');
    leaving.abort();
    expect(await asked).toBe('left');
    const unit = await platform.untilState('late', 'cold');
    expect(unit).toMatchObject({ waiters: 0, why: expect.stringContaining('everyone who asked for it left') });
  });

  it('holds a plain caller up to the limit, says when to come back, and goes on waking', async () => {
    await start({ config: 'scheduler: { hold: 400ms }', catalog: one('held', { delayMs: 1500 }) });
    const early = await platform.fetch('/services/held/x');
    expect(early.status).toBe(503);
    expect(Number(early.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await early.json()).toMatchObject({ code: 'WAKING', unit: 'service/held', progress: { phase: 'starting' } });
    await platform.untilState('held', 'ready');
    expect((await platform.fetch('/services/held/x')).status).toBe(200);
  });

  it('tells a streaming caller of the wake by comments, then streams', async () => {
    await start({ catalog: one('stream', { delayMs: 2300 }) });
    const response = await platform.fetch('/services/stream/sse?count=3', { headers: { accept: 'text/event-stream' } });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const lines = (await response.text()).split('\n\n').filter(Boolean);
    const comments = lines
      .filter((line) => line.startsWith(': '))
      .map((line) => JSON.parse(line.slice(2)) as { phase: string });
    expect(comments.length).toBeGreaterThanOrEqual(2);
    expect(comments[0]).toMatchObject({ phase: 'starting', position: 1 });
    expect(lines.filter((line) => line.startsWith('data: '))).toEqual(['data: 0', 'data: 1', 'data: 2']);
  });
});

describe('a limit that fits one', () => {
  const both = { ...one('left', { memory: '64MiB' }), ...one('right', { memory: '64MiB' }) };
  const config = 'scheduler: { minResidency: 0ms }';

  it('serves requests that alternate, each swap told, the ledger never above the limit', async () => {
    await start({ memory: '96MiB', config, catalog: both });
    const events = followEvents(platform);
    const ledgers: ApiLedgerLines[] = [];
    let watching = true;
    const watch = (async () => {
      while (watching) ledgers.push((await (await platform.fetch('/sutaz/v1/ledger')).json()) as ApiLedgerLines);
    })();
    for (let i = 0; i < 6; i++) {
      const response = await platform.fetch(`/services/${i % 2 === 0 ? 'left' : 'right'}/${i}`);
      expect(await response.json()).toMatchObject({ url: `/${i}` });
    }
    watching = false;
    await watch;
    const evictions = () =>
      events.seen.filter(({ event, data }) => event === 'log' && (data as ApiEvent).type === 'evict');
    await until(() => evictions().length === 5, 'five swaps told');
    await events.stop();
    expect(ledgers.length).toBeGreaterThan(5);
    for (const { reservedBytes, limitBytes } of ledgers) expect(reservedBytes).toBeLessThanOrEqual(limitBytes);
  });

  it('never cuts a stream to make room: the other waits until it has ended', async () => {
    await start({ memory: '96MiB', config, catalog: both });
    const stream = platform.fetch('/services/left/sse?count=40&every=25').then((response) => response.text());
    await platform.untilState('left', 'ready');
    const started = performance.now();
    const other = platform
      .fetch('/services/right/x')
      .then(async (response) => ({ status: response.status, at: performance.now() - started }));
    const whole = (await stream).split('\n\n').filter(Boolean);
    expect(whole).toHaveLength(40);
    expect(await other).toMatchObject({ status: 200 });
    expect((await other).at).toBeGreaterThan(500);
  });

  it('refuses what could never fit, with the bytes on both sides', async () => {
    await start({ memory: '96MiB', catalog: one('huge', { memory: '1GiB' }) });
    const response = await platform.fetch('/services/huge/x');
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      code: 'NO_MEMORY',
      neededBytes: 2 ** 30,
      limitBytes: 96 * 2 ** 20,
      detail: expect.stringContaining('1073741824 bytes'),
    });
  });
});

describe('what passes through the door', () => {
  it('bodies stream both ways, headers of ours and of the connection stay behind', async () => {
    await start({ catalog: one('pass'), env: { SECRET_TOKEN_OF_MINE: 'x' } });
    const size = 20 * 2 ** 20;
    const upload = await platform.fetch('/services/pass/up', { method: 'POST', body: new Uint8Array(size) });
    expect(await upload.json()).toMatchObject({ bytes: size, method: 'POST' });
    const seen = await ask('/services/pass/look', {
      cookie: 'mine=1; sutaz_session=stolen',
      'x-sutaz-key': platform.key,
      authorization: 'Bearer the-services-own',
      connection: 'close, x-private',
      'x-private': '1',
    });
    const { headers, env } = JSON.parse(await text(seen)) as { headers: Record<string, string>; env: string[] };
    expect(headers).toMatchObject({
      cookie: 'mine=1',
      authorization: 'Bearer the-services-own',
      'x-forwarded-prefix': '/services/pass',
      'x-forwarded-proto': 'http',
    });
    expect(Object.keys(headers)).not.toContain('x-sutaz-key');
    expect(Object.keys(headers)).not.toContain('x-private');
    expect(env).not.toContain('SECRET_TOKEN_OF_MINE');
    const bearer = await platform.fetch('/services/pass/look');
    expect(Object.keys(((await bearer.json()) as { headers: object }).headers)).not.toContain('authorization');
    const redirect = await ask('/services/pass/redirect');
    expect([redirect.statusCode, redirect.headers.location]).toEqual([302, '/services/pass/landed']);
    redirect.resume();
  });

  it('WebSockets, by path and by host, and keeps the service busy while one is open', async () => {
    await start({ catalog: one('ws', { idle: '200ms' }) });
    for (const address of [
      `ws://127.0.0.1:${platform.port}/services/ws/chat`,
      `ws://127.0.0.1:${platform.port}/chat`,
    ]) {
      const host = address.includes('/services/') ? {} : { host: `ws.localhost:${platform.port}` };
      const socket = new WebSocket(address, { headers: { authorization: `Bearer ${platform.key}`, ...host } });
      await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
      const answer = new Promise((resolve) => socket.once('message', (data) => resolve(String(data))));
      socket.send('hello');
      expect(await answer).toBe('hello');
      await pause(500);
      expect(await platform.unit('ws')).toMatchObject({ state: 'ready', leases: 1 });
      socket.close();
      await platform.untilState('ws', 'cold');
    }
  });

  it('a client that leaves ends its request at the service within 200 ms', async () => {
    await start({ catalog: one('gone') });
    const closed = async () => Number(await (await platform.fetch('/services/gone/closed')).text());
    expect(await closed()).toBe(0);
    const leaving = new AbortController();
    const asked = platform.fetch('/services/gone/sse?count=1000&every=20', { signal: leaving.signal });
    await (await asked).body?.getReader().read();
    leaving.abort();
    const left = performance.now();
    await until(async () => (await closed()) === 1, 'the service to see it', 2_000);
    expect(performance.now() - left).toBeLessThan(200);
    expect((await platform.unit('gone')).leases).toBe(0);
  });

  it('a stream that breaks off never looks whole', async () => {
    await start({ catalog: one('broken') });
    const response = await platform.fetch('/services/broken/sse?count=10&break=3');
    let body = '';
    const read = async () => {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>)
        body += Buffer.from(chunk).toString();
    };
    await expect(read()).rejects.toThrow();
    expect(body).toContain('data: 2\n\n');
    expect(body).toContain('event: error');
    expect(body).toContain('UPSTREAM_FAILED');
  });
});

describe('what goes wrong', () => {
  it('a crash is told and the next request works', async () => {
    await start({ config: 'scheduler: { backoff: { first: 50ms } }', catalog: one('crash') });
    const before = (await (await platform.fetch('/services/crash/x')).json()) as { pid: number };
    const crashed = await platform.fetch('/services/crash/crash');
    expect(crashed.status).toBe(502);
    expect(await crashed.json()).toMatchObject({ code: 'UPSTREAM_FAILED', source: 'gateway' });
    const after = (await (await platform.fetch('/services/crash/x')).json()) as { pid: number };
    expect(after.pid).not.toBe(before.pid);
  });

  it('what cannot start is quarantined with its reason and last words, and a start by hand tries again', async () => {
    const failing = `id: failing
name: Failing
summary: Cannot start
category: tool
run: { process: { command: [node, -e, "console.error('no such database: lemon'); process.exit(7)"] } }
resources: { memory: 32MiB }
`;
    await start({
      config: 'scheduler: { backoff: { first: 20ms, attempts: 3 } }',
      catalog: { 'services/failing.yaml': failing, ...one('fine') },
    });
    const response = await platform.fetch('/services/failing/x');
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      code: 'START_FAILED',
      detail: expect.stringContaining('no such database: lemon'),
    });
    const unit = await platform.unit('failing');
    expect(unit.state).toBe('quarantined');
    expect(unit.failure?.log.join('\n')).toContain('no such database: lemon');
    expect((await platform.fetch('/services/fine/x')).status).toBe(200);
    expect((await platform.fetch('/sutaz/v1/units/failing/start', { method: 'POST' })).status).toBe(202);
    await platform.untilState('failing', 'starting', 'backoff');
  });

  it('a bad definition is disabled with its place, and definitions are picked up while it runs', async () => {
    await start({
      catalog: {
        ...one('good'),
        'services/typo.yaml': echoService('typo', { dir }).replace('resources:', 'resorces:'),
      },
    });
    const missing = await platform.fetch('/services/typo/x');
    expect(missing.status).toBe(404);
    expect(((await missing.json()) as { detail: string }).detail).toMatch(
      /typo\.yaml:\d+:\d+: .*resorces.*Did you mean resources/,
    );
    expect((await platform.fetch('/services/good/x')).status).toBe(200);
    await define(platform.home, 'services/typo.yaml', echoService('typo', { dir }));
    await define(platform.home, 'services/fresh.yaml', echoService('fresh', { dir }));
    await until(async () => (await platform.fetch('/services/fresh/x')).status === 200, 'the new definition', 10_000);
    expect((await platform.fetch('/services/typo/x')).status).toBe(200);
  });

  it('regression: a start by hand that is stopped by hand is over, and not begun again', async () => {
    // It listens so late that it never starts within this test.
    await start({ catalog: one('late', { delayMs: 60_000 }) });
    const post = (action: string) => platform.fetch(`/sutaz/v1/units/late/${action}`, { method: 'POST' });
    const waits = post('start?wait=true').then((response) => response.text());
    await until(async () => (await platform.unit('late')).state === 'starting', 'the start');
    const events = followEvents(platform);
    await until(() => events.seen.length > 0, 'the first event');
    expect((await post('stop')).status).toBe(200);
    expect(await waits).toMatch(/"code":"CONFLICT".*was stopped by hand while it started/);
    await platform.untilState('late', 'cold');
    await until(() => logTypes(events.seen, 'service/late').includes('cold'), 'its end');
    expect(await platform.unit('late')).toMatchObject({ state: 'cold', waiters: 0 });
    expect(logTypes(events.seen, 'service/late')).toEqual(['stop', 'cold']);
    await events.stop();
  });

  it('a busy unit is stopped by force only, and a pin survives a restart', async () => {
    await start({ catalog: one('pinned', { idle: '200ms' }) });
    const slow = platform.fetch('/services/pinned/slow?ms=60000').catch(() => 'cut');
    await until(async () => (await platform.unit('pinned')).leases === 1, 'the lease');
    const post = (action: string) => platform.fetch(`/sutaz/v1/units/pinned/${action}`, { method: 'POST' });
    expect((await post('stop')).status).toBe(409);
    expect((await post('stop?force=true')).status).toBe(200);
    await slow;
    await platform.untilState('pinned', 'cold');
    expect((await post('pin')).status).toBe(200);
    await platform.untilState('pinned', 'ready');
    await platform.stop();
    await start({ catalog: one('pinned', { idle: '200ms' }) });
    await platform.untilState('pinned', 'ready');
    await pause(600);
    expect(await platform.unit('pinned')).toMatchObject({ state: 'ready', pinned: true });
    expect((await post('stop')).status).toBe(409);
    expect((await post('unpin')).status).toBe(200);
    await platform.untilState('pinned', 'cold');
  });
});
