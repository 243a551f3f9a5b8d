import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { request } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, RequestListener } from 'node:http';
import zlib from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { configSchema } from '#config/static';
import { parseStrict } from '#config/strict';
import { fakeClock } from '#kernel/clock.fake';
import { fakePickers } from '#routing/picker.fake';
import { openDoor } from '../door.fake.ts';
import type { OpenDoor } from '../door.fake.ts';
import { outsideWaker } from '../routes/outside.ts';
import { compileRoutes } from '../routes/table.ts';

let door: OpenDoor;
afterEach(() => door.close());

async function openWith(service: RequestListener, steps = '[compress: {}]') {
  const text = `routes: { r: { match: { path: /r/* }, to: { service: x }, with: ${steps} } }`;
  const parsed = parseStrict(text, 'sutaz.yaml', configSchema);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const table = compileRoutes(parsed.value, () => ({}));
  door = await openDoor(service, { routes: { table: () => table, outside: outsideWaker(fakePickers(fakeClock())) } });
}

const ask = (accept: string | null, method = 'GET') => {
  const headers = { authorization: 'Bearer sutaz-admin', ...(accept === null ? {} : { 'accept-encoding': accept }) };
  const sent = request({ ...{ host: '127.0.0.1', port: door.port, path: '/r/a', method, headers }, agent: false });
  sent.end();
  return sent;
};

interface Got {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
}
async function got(accept: string | null, method?: string): Promise<Got> {
  const [res] = (await once(ask(accept, method), 'response')) as [IncomingMessage];
  const bits: Buffer[] = [];
  for await (const bit of res) bits.push(bit as Buffer);
  return { status: res.statusCode, headers: res.headers, bytes: Buffer.concat(bits) };
}

const page = 'A line like any other.\n'.repeat(500);
const answering =
  (headers: Record<string, string>, body: string | Buffer = page, status = 200): RequestListener =>
  (req, res) => {
    res.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers });
    res.end(req.method === 'HEAD' ? undefined : body);
  };

describe('compress', () => {
  it.each([
    ['br', zlib.brotliDecompressSync],
    ['zstd', zlib.zstdDecompressSync],
    ['gzip', zlib.gunzipSync],
  ] as const)(
    'packs with %s, and the length and the ETag are no longer those of the plain bytes',
    async (coding, unpack) => {
      await openWith(answering({ 'content-type': 'text/html', etag: '"1"', vary: 'origin', 'accept-ranges': 'bytes' }));
      const { headers, bytes } = await got(coding);
      expect(headers).toMatchObject({ 'content-encoding': coding, etag: 'W/"1"', vary: 'origin, accept-encoding' });
      expect([headers['content-length'], headers['accept-ranges']]).toEqual([undefined, undefined]);
      expect(unpack(bytes).toString()).toBe(page);
      expect(bytes.byteLength).toBeLessThan(page.length / 10);
    },
  );

  it('packs after what changes the answer', async () => {
    const json = JSON.stringify({ kept: page, secret: 1 });
    await openWith(
      answering({ 'content-type': 'application/json' }, json),
      '[{ compress: {} }, { answerJson: { remove: [secret] } }]',
    );
    const { headers, bytes } = await got('gzip');
    expect(headers['content-encoding']).toBe('gzip');
    expect(JSON.parse(zlib.gunzipSync(bytes).toString())).toEqual({ kept: page });
  });

  it.each([
    ['who does not ask for it', null, { 'content-type': 'text/html' }, page, 'accept-encoding'],
    ['events', 'gzip', { 'content-type': 'text/event-stream' }, 'data: 1\n\n'.repeat(500), undefined],
    ['what is packed in its way', 'gzip', { 'content-type': 'image/png' }, page, undefined],
    ['what is packed already', 'gzip', { 'content-type': 'text/html', 'content-encoding': 'deflate' }, page, undefined],
    [
      'what is to be left as it is',
      'gzip',
      { 'content-type': 'text/html', 'cache-control': 'No-Transform' },
      page,
      undefined,
    ],
    ['what is short', 'gzip', { 'content-type': 'text/html' }, 'short', 'accept-encoding'],
  ])('leaves %s alone', async (_, accept, sent, body, vary) => {
    await openWith(answering(sent, body));
    const { headers, bytes } = await got(accept);
    expect([headers['content-encoding'], headers.vary]).toEqual([
      'content-encoding' in sent ? 'deflate' : undefined,
      vary,
    ]);
    expect(bytes.toString()).toBe(body);
  });

  it('leaves a part of something alone, and HEAD without a body', async () => {
    await openWith(answering({ 'content-type': 'text/html', 'content-range': 'bytes 0-9/99' }, page, 206));
    expect((await got('gzip')).headers['content-encoding']).toBeUndefined();
    door.close();
    await openWith(answering({ 'content-type': 'text/html' }));
    const { status, headers, bytes } = await got('gzip', 'HEAD');
    expect([status, headers.vary, bytes.byteLength]).toEqual([200, 'accept-encoding', 0]);
  });

  it('sends each bit when it comes, where nobody knows how many there will be', async () => {
    const more = Promise.withResolvers<void>();
    await openWith((_, res) => {
      res.writeHead(200, { 'content-type': 'text/plain' });
      res.write('first');
      void more.promise.then(() => res.end('second'));
    });
    const [res] = (await once(ask('gzip'), 'response')) as [IncomingMessage];
    const text = res.pipe(zlib.createGunzip()).setEncoding('utf8');
    expect(await once(text, 'data')).toEqual(['first']);
    more.resolve();
    expect(await once(text, 'data')).toEqual(['second']);
  });

  it('holds the service back for a slow client, and ends it when the client leaves', async () => {
    const closed = Promise.withResolvers<void>();
    const tooFar = Promise.withResolvers<never>();
    // Longer than the window of gzip, so that the next one is no repetition of it.
    const noise = randomBytes(65_536);
    const at = { sent: 0, received: 0, owed: 0, held: false };
    const moved = new EventEmitter();
    await openWith((_, res) => {
      res.writeHead(200, { 'content-type': 'text/plain' });
      res.on('close', closed.resolve);
      const send = () => {
        at.sent += noise.length;
        at.owed += 1 / 8;
        at.held = false;
        if (at.sent - at.received > mostUnread) return tooFar.reject(new Error('It was not held back.'));
        if (res.write(noise)) setImmediate(send);
        else {
          at.held = true;
          res.once('drain', send);
        }
        moved.emit('service');
      };
      send();
    });
    const asked = ask('gzip');
    asked.on('error', () => undefined);
    const [res] = (await once(asked, 'response')) as [IncomingMessage];
    // An eighth of what is sent is read, and more only where the service waits for that.
    const readSlowly = async () => {
      for (; at.received < 8 * 2 ** 20; at.owed--) {
        while (at.owed < 1 && !at.held) await once(moved, 'service');
        let chunk = res.read() as Buffer | null;
        for (; chunk === null; chunk = res.read() as Buffer | null) await once(res, 'readable');
        at.received += chunk.length;
      }
    };
    await Promise.race([readSlowly(), tooFar.promise]);
    res.destroy();
    await closed.promise;
  });
});

/** Bytes that the buffers of two connections and of the packer may hold between them. */
const mostUnread = 32 * 2 ** 20;
