import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from './_processes.ts';
import { readExchanges, recordingProxy, replayServer, writeExchanges } from './_recording.ts';
import type { Exchange, Proxy, Replay } from './_recording.ts';

/** Counts what it is asked for; `/stream` never ends. */
let server: Server;
let url: string;
let open: { close(): Promise<void> }[];
beforeEach(async () => {
  open = [];
  let asked = 0;
  server = createServer((req, res) => {
    req.resume();
    if (req.url === '/stream')
      return void res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
    res.writeHead(req.url === '/none' ? 404 : 200, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ created: 17, root: '/home/someone/m', asked: ++asked }));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
});
afterEach(async () => {
  for (const one of open) await one.close();
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

const opened = <T extends Proxy | Replay>(one: T): T => (open.push(one), one);
const post = (to: string, path: string, body: object, init: RequestInit = {}) =>
  fetch(`${to}${path}`, { method: 'POST', body: JSON.stringify(body), ...init });
/** Asks for a stream, and leaves once something of it has come. */
async function leave(to: string): Promise<void> {
  const controller = new AbortController();
  const response = await post(to, '/stream', {}, { signal: controller.signal });
  const { value } = await (response.body as ReadableStream<Uint8Array>).getReader().read();
  expect(new TextDecoder().decode(value)).toBe('data: 1\n\n');
  controller.abort();
}

async function recorded(talk: (to: string) => Promise<void>, count: number): Promise<Exchange[]> {
  const proxy = opened(await recordingProxy(url));
  await talk(proxy.url);
  await until(() => proxy.exchanges.length === count, 'everything to be written down');
  const folder = await mkdtemp(join(tmpdir(), 'sutaz-recording-'));
  try {
    await writeExchanges(join(folder, 'x.jsonl'), proxy.exchanges);
    return await readExchanges(join(folder, 'x.jsonl'));
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('a recording', () => {
  it('answers as the server did, again and again, without what is of its machine or of its day', async () => {
    const exchanges = await recorded(async (to) => {
      await post(to, '/a', { model: 'm', n: 1 });
      await post(to, '/a', { model: 'm', n: 1 });
      await fetch(`${to}/none`);
    }, 3);
    const replay = opened(await replayServer(exchanges));
    // The order of a body's fields is no difference.
    const asked = async () => (await (await post(replay.url, '/a', { n: 1, model: 'm' })).json()) as object;
    const answer = { created: 1, root: '/models/recorded' };
    expect([await asked(), await asked(), await asked()]).toEqual([
      ...[1, 2, 2].map((count) => ({ ...answer, asked: count })),
    ]);
    expect((await fetch(`${replay.url}/none`)).status).toBe(404);
    expect(replay.unknown).toEqual([]);
  });

  it('has no answer to what was never asked, and names the nearest that was', async () => {
    const exchanges = await recorded(async (to) => {
      await post(to, '/a', { model: 'm', n: 1, stop: ['x'] });
      await post(to, '/a', { model: 'm', n: 2 });
    }, 2);
    const replay = opened(await replayServer(exchanges));
    const response = await post(replay.url, '/a', { model: 'm', n: 3 });
    expect(response.status).toBe(501);
    await fetch(`${replay.url}/b`);
    expect(replay.unknown).toEqual([
      'POST /a was never recorded like this. The nearest differs in n (3 instead of 2).',
      'GET /b was never recorded like this. Recorded are POST /a.',
    ]);
  });

  it('holds an answer that was left until its client leaves again', async () => {
    const exchanges = await recorded(leave, 1);
    expect(exchanges).toEqual([expect.objectContaining({ left: true, pieces: ['data: 1\n\n'] })]);
    const replay = opened(await replayServer(exchanges));
    const stays = new AbortController();
    await post(replay.url, '/stream', {}, { signal: stays.signal });
    await leave(replay.url);
    await until(() => replay.open() === 1, 'the client that left to be gone');
    stays.abort();
    await until(() => replay.open() === 0, 'the other to be gone, too');
  });
});

it('the recordings have no keys in them, and nothing of the machine they were made on', async () => {
  const folder = join(import.meta.dirname, 'fixtures/recordings');
  const files = (await readdir(folder, { recursive: true })).filter((name) => /\.jsonl?$/.test(name));
  expect(files.length).toBeGreaterThanOrEqual(4);
  for (const file of files) {
    const text = await readFile(join(folder, file), 'utf8');
    expect(text, file).not.toMatch(/bearer|authorization|\bsk-|\/(home|root|tmp|Users)\/|127\.0\.0\.1|localhost/i);
  }
});
