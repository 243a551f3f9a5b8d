import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTcp } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '#kernel/clock';
import { fakeClock } from '#kernel/clock.fake';
import { byName } from './fields.ts';
import { placeOf } from './place.ts';
import { createUpstreams } from './upstreams.ts';
import type { AnswerSink, UpstreamRequest } from './upstreams.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function listening(server: Server | ReturnType<typeof createTcp>): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  closers.push(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const http = (listener: RequestListener) => listening(createServer(listener));

/** Speaks without Node's HTTP, for answers that it would not give. */
const raw = (onData: (socket: Socket, request: string) => void) =>
  listening(
    createTcp((socket) => {
      closers.push(() => socket.destroy());
      socket.on('error', () => undefined);
      socket.on('data', (data) => onData(socket, String(data)));
    }),
  );

function setUp() {
  const upstreams = createUpstreams({ clock: systemClock });
  closers.push(() => void upstreams.close());
  const got = { status: 0, headers: {} as Record<string, string | string[]>, text: '' };
  const sink: AnswerSink = {
    head: ({ status, headers }) => void Object.assign(got, { status, headers: byName(headers) }),
    data(chunk) {
      got.text += chunk.toString('latin1');
      return true;
    },
  };
  const controller = new AbortController();
  const send = (origin: string, more: Partial<UpstreamRequest> = {}, own: Partial<AnswerSink> = {}) =>
    upstreams.send(
      { origin, method: 'GET', path: '/', headers: [], body: null, signal: controller.signal, ...more },
      { ...sink, ...own },
    );
  return { got, controller, send };
}

describe('an answer', () => {
  it('comes through as it is, headers byte for byte', async () => {
    const name = Buffer.from('attachment; filename="中文.pdf"').toString('latin1');
    const origin = await raw((socket) =>
      socket.end(
        Buffer.from(`HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Name: ${name}\r\n\r\nbody`, 'latin1'),
      ),
    );
    const { got, send } = setUp();
    await send(origin);
    expect(got).toMatchObject({ status: 200, text: 'body' });
    expect(got.headers).toMatchObject({ 'set-cookie': ['a=1', 'b=2'], 'x-name': name });
  });

  it.each([204, 304])('of %i has no body, and one of HEAD neither', async (status) => {
    const origin = await http((_, res) => res.writeHead(status, { etag: '"x"' }).end());
    const { got, send } = setUp();
    await send(origin, { method: status === 204 ? 'HEAD' : 'GET' });
    expect(got).toMatchObject({ status, text: '' });
  });

  it('is the last one: what comes before it (1xx) is not', async () => {
    const origin = await http((_, res) => {
      res.writeProcessing();
      res.writeEarlyHints({ link: '</style.css>; rel=preload' }, () => res.end('whole'));
    });
    const { got, send } = setUp();
    await send(origin);
    expect(got).toMatchObject({ status: 200, text: 'whole' });
  });

  it('waits for a reader that is behind', async () => {
    let blocked = false;
    const origin = await http((_, res) => {
      const more = () => {
        while (res.write('x'.repeat(1 << 16)));
        blocked = true;
      };
      more();
    });
    const { controller, send } = setUp();
    let chunks = 0;
    const sending = send(origin, {}, { data: () => ++chunks > 1_000_000 });
    while (!blocked) await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(chunks).toBe(1);
    controller.abort();
    await expect(sending).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('that comes before the body was read does not take the client along', async () => {
    const origin = await http((_, res) => res.writeHead(413, { connection: 'close' }).end('too much'));
    const { got, send } = setUp();
    const body = new PassThrough();
    body.write('x');
    await send(origin, { method: 'POST', body });
    expect(got).toMatchObject({ status: 413, text: 'too much' });
    expect(body.destroyed).toBe(false);
  });
});

describe('a body', () => {
  it.each(['GET', 'DELETE', 'POST'])('of a %s without a length goes in chunks', async (method) => {
    const origin = await http((req, res) => void req.pipe(res));
    const { got, send } = setUp();
    const body = new PassThrough();
    body.end('some text');
    await send(origin, { method, body });
    expect(got.text).toBe('some text');
  });
});

describe('a failure', () => {
  it('to reach it is UPSTREAM_FAILED', async () => {
    const { send } = setUp();
    await expect(send('http://127.0.0.1:1')).rejects.toMatchObject({ code: 'UPSTREAM_FAILED', retryAfter: 1 });
  });

  it.each([
    ['before the first byte', ''],
    ['within the head', 'HTTP/1.1 200 OK\r\ncontent-'],
    ['within the body', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'],
    ['within a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf'],
    ['in its framing', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nhalf'],
  ])('%s is UPSTREAM_FAILED', async (_, text) => {
    const origin = await raw((socket) => socket.end(text));
    const { send } = setUp();
    await expect(send(origin)).rejects.toMatchObject({ code: 'UPSTREAM_FAILED' });
  });

  it('of the reader is its own, and closes the connection', async () => {
    const closed = Promise.withResolvers<void>();
    const origin = await http((req, res) => {
      req.socket.on('close', () => closed.resolve());
      res.write('x');
    });
    const { send } = setUp();
    const head = () => {
      throw new TypeError('no such header');
    };
    await expect(send(origin, {}, { head })).rejects.toMatchObject({ message: expect.stringContaining('no such') });
    await closed.promise;
  });
});

describe('a caller that leaves', () => {
  it('before the request is never sent on', async () => {
    let asked = 0;
    const origin = await http(() => asked++);
    const { controller, send } = setUp();
    controller.abort();
    await expect(send(origin)).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(asked).toBe(0);
  });

  it.each(['before the answer', 'during the answer'])('%s closes the connection at once', async (when) => {
    const closed = Promise.withResolvers<void>();
    const { controller, send } = setUp();
    const origin = await http((req, res) => {
      req.socket.on('close', () => closed.resolve());
      if (when === 'before the answer') controller.abort();
      else res.write('x');
    });
    const sending = send(origin, {}, { head: () => controller.abort() });
    await expect(sending).rejects.toMatchObject({ code: 'CANCELLED' });
    await closed.promise;
  });
});

describe('a connection that was kept', () => {
  /** Answers the first request of a connection and closes it at the second. */
  const stale = () => {
    const served = new WeakSet<Socket>();
    return raw((socket) => {
      if (served.has(socket)) return socket.destroy();
      served.add(socket);
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      return undefined;
    });
  };

  it('and died as a read went out is replaced', async () => {
    const origin = await stale();
    const { got, send } = setUp();
    await send(origin);
    await new Promise((resolve) => setImmediate(resolve));
    await send(origin);
    expect(got.text).toBe('okok');
  });

  it('is not for what would be done twice', async () => {
    const origin = await stale();
    const { send } = setUp();
    await send(origin);
    await new Promise((resolve) => setImmediate(resolve));
    await expect(send(origin, { method: 'POST', body: Buffer.from('x') })).rejects.toMatchObject({
      code: 'UPSTREAM_FAILED',
    });
  });
});

describe('a request', () => {
  it('that is called off in the turn in which it was made never leaves', async () => {
    const asked: string[] = [];
    const origin = await raw((socket, request) => {
      asked.push(request.slice(0, request.indexOf(' HTTP')));
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    const { send } = setUp();
    await send(origin, { path: '/first' });
    const controller = new AbortController();
    const sending = send(origin, { method: 'POST', path: '/second', signal: controller.signal });
    controller.abort();
    await expect(sending).rejects.toMatchObject({ code: 'CANCELLED' });
    await send(origin, { path: '/third' });
    expect(asked).toEqual(['GET /first', 'GET /third']);
  });
});

it('knows where an origin is', () => {
  const loopback = { host: '::1', port: 41234, secure: false, authority: '[::1]:41234' };
  expect(placeOf('http://[::1]:41234')).toEqual(loopback);
  expect(placeOf('https://box.example')).toMatchObject({ host: 'box.example', port: 443, secure: true });
  expect(placeOf('http://192.0.2.7')).toMatchObject({ host: '192.0.2.7', port: 80, secure: false });
});

it('regression: who waits for a connection is told when they are all closed, and is not left waiting', async () => {
  let asked = 0;
  const origin = await http(() => void asked++);
  const settings = { connections: 1, keptMs: 1_000, connectMs: 1_000 };
  const upstreams = createUpstreams({ clock: systemClock, settings: () => settings });
  const { signal } = new AbortController();
  const request: UpstreamRequest = { origin, method: 'GET', path: '/', headers: [], body: null, signal };
  const sink: AnswerSink = { head: () => undefined, data: () => true };
  const first = upstreams.send(request, sink);
  const second = upstreams.send(request, sink);
  const ends = Promise.allSettled([first, second]);
  await upstreams.close();
  expect(await ends).toMatchObject([{ status: 'rejected' }, { status: 'rejected', reason: { code: 'SHUTTING_DOWN' } }]);
  expect(asked).toBeLessThan(2);
});

it('regression: a server of HTTP/2 that takes the connection and says nothing of TLS is given up', async () => {
  const clock = fakeClock();
  const server = createTcp((socket) => closers.push(() => socket.destroy()));
  const origin = (await listening(server)).replace('http:', 'h2:');
  const upstreams = createUpstreams({ clock });
  const { signal } = new AbortController();
  const request: UpstreamRequest = { origin, method: 'GET', path: '/', headers: [], body: null, signal };
  const sent = upstreams.send(request, { head: () => undefined, data: () => true });
  const end = expect(sent).rejects.toMatchObject({ code: 'UPSTREAM_FAILED', message: expect.stringContaining('10 s') });
  await once(server, 'connection');
  clock.advance(10_000);
  await end;
  await upstreams.close();
});
