/** What keeps and packs answers, where the client speaks HTTP/2: there the door writes to a stream, and not to a connection. */
import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { connect } from 'node:http2';
import type { ClientHttp2Session, IncomingHttpHeaders, IncomingHttpStatusHeader } from 'node:http2';
import zlib from 'node:zlib';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { configSchema } from '#config/static';
import { parseStrict } from '#config/strict';
import { fakeClock } from '#kernel/clock.fake';
import { fakePickers } from '#routing/picker.fake';
import { openDoor } from '../door.fake.ts';
import type { OpenDoor } from '../door.fake.ts';
import { speakProtocols } from '../protocols/speak.ts';
import { outsideWaker } from '../routes/outside.ts';
import { compileRoutes } from '../routes/table.ts';

let door: OpenDoor;
let client: ClientHttp2Session;
const seen: IncomingMessage[] = [];
const closers: (() => void)[] = [];
// Ages of HTTP are those of the calendar.
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => {
  vi.useRealTimers();
  client.destroy();
  for (const close of closers.splice(0)) close();
  door.close();
  seen.length = 0;
});

const limits = { streams: 100, headers: 16_384, headerCount: 100, url: 8_192, keepAlive: 60_000, headerTimeout: 1_000 };

async function openWith(service: RequestListener, steps: string): Promise<void> {
  const text = `routes: { r: { match: { path: /r/* }, to: { service: x }, with: ${steps} } }`;
  const parsed = parseStrict(text, 'sutaz.yaml', configSchema);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const table = compileRoutes(parsed.value, () => ({}));
  const listener: RequestListener = (req, res) => {
    seen.push(req);
    service(req, res);
  };
  door = await openDoor(listener, { routes: { table: () => table, outside: outsideWaker(fakePickers(fakeClock())) } });
  const protocols = speakProtocols(door.server, { clock: door.clock, limits, onHandedOver: () => undefined });
  closers.push(() => protocols.close());
  client = connect(`http://localhost:${door.port}`);
  client.on('error', () => undefined);
}

interface Got {
  readonly headers: IncomingHttpHeaders & IncomingHttpStatusHeader;
  readonly bytes: Buffer;
}

async function got(more: Record<string, string> = {}): Promise<Got> {
  const stream = client.request({ ':path': '/r/a', 'x-sutaz-key': 'sutaz-admin', ...more });
  const bits: Buffer[] = [];
  stream.on('data', (bit: Buffer) => bits.push(bit));
  const [headers] = (await once(stream, 'response')) as [Got['headers']];
  await once(stream, 'close');
  return { headers, bytes: Buffer.concat(bits) };
}

const page = 'A line like any other.\n'.repeat(500);
const declared: RequestListener = (req, res) => {
  if (req.headers['if-none-match'] === '"1"') return void res.writeHead(304, { etag: '"1"' }).end();
  res.writeHead(200, { 'cache-control': 'max-age=60', etag: '"1"', 'content-type': 'text/plain' }).end(page);
};

it('httpCache: an answer is kept and given again, to HEAD and to who has it, too; regression: one that was confirmed has its body', async () => {
  await openWith(declared, '[httpCache: {}]');
  const first = await got();
  expect([first.headers['cache-status'], first.bytes.toString()]).toEqual(['sutaz; fwd=uri-miss; stored', page]);
  const second = await got();
  expect(second.headers).toMatchObject({ ':status': 200, 'cache-status': 'sutaz; hit; ttl=60', etag: '"1"' });
  expect(second.bytes.toString()).toBe(page);
  const head = await got({ ':method': 'HEAD' });
  expect([head.headers['content-length'], head.bytes.length]).toEqual([String(page.length), 0]);
  const known = await got({ 'if-none-match': '"1"' });
  expect([known.headers[':status'], known.bytes.length]).toEqual([304, 0]);
  expect(seen).toHaveLength(1);
  const anew = await got({ 'cache-control': 'no-cache' });
  expect(anew.headers['cache-status']).toBe('sutaz; fwd=request; fwd-status=304');
  expect([anew.headers[':status'], anew.bytes.toString(), seen.length]).toEqual([200, page, 2]);
});

it('httpCache: an answer whose length is known is kept as it is, before anything changed it', async () => {
  await openWith((_, res) => {
    const headers = { 'cache-control': 'max-age=60', 'content-length': page.length, 'content-type': 'text/plain' };
    res.writeHead(200, headers).end(page);
  }, '[{ httpCache: {} }, { responseHeaders: { set: { x-own: 1 } } }]');
  for (const status of ['sutaz; fwd=uri-miss; stored', 'sutaz; hit; ttl=60']) {
    const { headers, bytes } = await got();
    expect([headers['cache-status'], headers['x-own'], bytes.toString()]).toEqual([status, '1', page]);
  }
  expect(seen).toHaveLength(1);
});

it('httpCache: of many at once on one connection one goes to the service; one that is reset keeps nothing back', async () => {
  const answer = Promise.withResolvers<void>();
  await openWith((req, res) => void answer.promise.then(() => declared(req, res)), '[httpCache: {}]');
  const first = got();
  while (seen.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const others = Array.from({ length: 20 }, () => got());
  const left = client.request({ ':path': '/r/a', 'x-sutaz-key': 'sutaz-admin' });
  left.on('error', () => undefined).close(8);
  await once(left, 'close');
  answer.resolve();
  const all = await Promise.all([first, ...others]);
  expect(all.map(({ bytes }) => bytes.toString())).toEqual(all.map(() => page));
  expect(seen).toHaveLength(1);
});

it.each([
  ['br', zlib.brotliDecompressSync],
  ['zstd', zlib.zstdDecompressSync],
  ['gzip', zlib.gunzipSync],
] as const)('compress: packs with %s what is kept as it was', async (coding, unpack) => {
  await openWith(declared, '[{ compress: {} }, { httpCache: {} }]');
  for (const status of ['sutaz; fwd=uri-miss; stored', 'sutaz; hit; ttl=60']) {
    const { headers, bytes } = await got({ 'accept-encoding': coding });
    expect(headers).toMatchObject({ 'content-encoding': coding, etag: 'W/"1"', 'cache-status': status });
    expect(unpack(bytes).toString()).toBe(page);
  }
  const plain = await got();
  expect([plain.headers['content-encoding'], plain.bytes.toString()]).toEqual([undefined, page]);
  expect(seen).toHaveLength(1);
});

it('compress: each bit goes when it comes, and the service ends when the client resets the stream', async () => {
  const closed = Promise.withResolvers<void>();
  await openWith((_, res) => {
    res.on('close', closed.resolve);
    res.writeHead(200, { 'content-type': 'text/plain' }).write('first');
  }, '[compress: {}]');
  const stream = client.request({ ':path': '/r/a', 'x-sutaz-key': 'sutaz-admin', 'accept-encoding': 'gzip' });
  stream.on('error', () => undefined);
  const text = stream.pipe(zlib.createGunzip()).setEncoding('utf8');
  text.on('error', () => undefined);
  expect(await once(text, 'data')).toEqual(['first']);
  stream.close(8);
  await closed.promise;
});
