import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { nodeHttp } from '#kernel/node-http';
import { issue, makeAuthority } from '#security/authority';
import { speakProtocols } from './speak.ts';

const limits = { streams: 4, headers: 16_384, headerCount: 100, url: 8_192, keepAlive: 1_000, headerTimeout: 1_000 };
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A listener whose answers tell what was asked. */
async function open(more: Partial<typeof limits> = {}) {
  const clock = fakeClock();
  const handedOver: Socket[] = [];
  const server = nodeHttp.createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const { method, url, headers, httpVersion } = req;
      res.writeHead(200, { 'content-type': 'application/json', connection: 'close' });
      res.end(JSON.stringify({ method, url, headers, httpVersion, body: Buffer.concat(chunks).toString() }));
    });
  });
  const onHandedOver = (socket: Socket) => void handedOver.push(socket);
  const protocols = speakProtocols(server, { clock, limits: { ...limits, ...more }, onHandedOver });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  closers.push(() => {
    protocols.close();
    server.close();
    server.closeAllConnections();
  });
  return { clock, protocols, handedOver, server, port: (server.address() as AddressInfo).port };
}

function session(port: number): ClientHttp2Session {
  const client = connectHttp2(`http://127.0.0.1:${port}`);
  closers.push(() => client.destroy());
  return client;
}

async function ask(client: ClientHttp2Session, headers: IncomingHttpHeaders, body?: string) {
  const stream = client.request(headers as Record<string, string>, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  let text = '';
  stream.on('data', (chunk) => (text += String(chunk)));
  const [answer] = (await once(stream, 'response')) as [Record<string, unknown>];
  await once(stream, 'close');
  return {
    answer,
    said: (text ? JSON.parse(text) : null) as Record<string, unknown> & { headers: Record<string, string> },
  };
}

/** Unlike `once`, an error on the way is none. */
const closed = (what: Socket | ClientHttp2Session) =>
  new Promise<void>((resolve) => (what.destroyed ? resolve() : void what.once('close', resolve)));

async function raw(port: number, ...pieces: string[]): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let text = '';
  socket.on('data', (data) => (text += String(data)));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await once(socket, 'close');
  return text;
}

describe('one port', () => {
  it('speaks HTTP/1.1, however few bytes come at once', async () => {
    const { port } = await open();
    const text = await raw(port, ...'POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi');
    expect(text).toMatch(/^HTTP\/1.1 200 /);
    expect(text).toContain('"body":"hi"');
  });

  it('speaks HTTP/2 with prior knowledge to the same handler', async () => {
    const { port, handedOver } = await open();
    const { answer, said } = await ask(session(port), { ':path': '/x?y', ':method': 'POST', te: 'trailers' }, 'hi');
    expect(answer).toMatchObject({ ':status': 200, 'content-type': 'application/json' });
    expect(answer).not.toHaveProperty('connection');
    expect(said).toMatchObject({ method: 'POST', url: '/x?y', httpVersion: '2.0', body: 'hi' });
    expect(said.headers).toEqual({ host: `127.0.0.1:${port}`, te: 'trailers', 'transfer-encoding': 'chunked' });
    expect(handedOver).toHaveLength(1);
  });

  it('announces no body where there is none', async () => {
    const { port } = await open();
    const { said } = await ask(session(port), { ':path': '/' });
    expect(said.headers).not.toHaveProperty('transfer-encoding');
  });

  it('refuses a request with two hosts', async () => {
    const { port } = await open();
    const { answer } = await ask(session(port), { ':path': '/', ':authority': 'a', host: 'b' });
    expect(answer[':status']).toBe(400);
  });

  it('refuses CONNECT over HTTP/2', async () => {
    const { port } = await open();
    const { answer } = await ask(session(port), { ':method': 'CONNECT', ':authority': 'a:1' });
    expect(answer[':status']).toBe(405);
  });

  it('closes a connection that says nothing, or only a beginning', async () => {
    const { port, clock, server } = await open();
    for (const pieces of [[], ['PRI * HT']]) {
      const accepted = once(server, 'connection');
      const answered = raw(port, ...pieces);
      await accepted;
      clock.advance(1_000);
      expect(await answered).toMatch(/^HTTP\/1.1 408 /);
    }
  });

  it('survives a client that resets before it said anything', async () => {
    const { port, server } = await open();
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    const [peer] = await accepted;
    socket.resetAndDestroy();
    await closed(peer);
    expect(await raw(port, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n')).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe('a client that leaves', () => {
  it('regression: is seen when it resets its stream before the answer is whole', async () => {
    const { port, server } = await open();
    const [before] = server.listeners('request') as [(...args: unknown[]) => void];
    server.off('request', before);
    const finished = new Promise<boolean>((resolve) => {
      server.on('request', (_, res) => {
        res.writeHead(200).write('first');
        res.on('close', () => resolve(res.writableFinished));
      });
    });
    const stream = session(port).request({ ':path': '/' });
    stream.on('error', () => undefined);
    await once(stream, 'data');
    stream.close(8);
    expect(await finished).toBe(false);
  });
});

describe('TLS', () => {
  it('regression: nor does one of HTTP/2 that says nothing of use and closes its side', async () => {
    const { port, server } = await open();
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    connect({ port, host: '127.0.0.1', allowHalfOpen: true }).end('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x01');
    await closed((await accepted)[0]);
  });

  it('regression: a client that leaves in the middle of the handshake leaves no connection behind', async () => {
    const authority = await makeAuthority('A test', Date.now());
    const { port, protocols, server } = await open();
    protocols.secure(await issue(authority, ['localhost'], Date.now()));
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.cert });
    client.on('secureConnect', () => client.destroy());
    await closed((await accepted)[0]);
  });
});

describe('bounds of HTTP/2', () => {
  it('tells the streams that may be open, and refuses more', async () => {
    const { port } = await open();
    const client = session(port);
    await once(client, 'remoteSettings');
    expect(client.remoteSettings).toMatchObject({ maxConcurrentStreams: 4 });
  });

  it('resets what has more headers than can be told with a status', async () => {
    const { port } = await open({ headerCount: 10 });
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`x-${i}`, '1']));
    const stream = session(port).request({ ':path': '/', ...many });
    const [error] = (await once(stream, 'error').catch((thrown: unknown) => [thrown])) as [Error];
    expect(error.message).toContain('ENHANCE_YOUR_CALM');
  });

  it('ends a connection that resets streams as fast as it can', async () => {
    const { port } = await open({ streams: 1_000 });
    const client = session(port);
    client.on('error', () => undefined);
    const gone = closed(client);
    let asked = 0;
    while (!client.destroyed && !client.closed && asked < 20_000) {
      for (let i = 0; i < 100 && !client.destroyed && !client.closed; i++, asked++) {
        client
          .request({ ':path': '/' })
          .on('error', () => undefined)
          .close(8);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await gone;
    expect(asked).toBeLessThan(5_000);
  });

  it('lets what is under way finish when it drains, and closes then', async () => {
    const { port, protocols } = await open();
    const client = session(port);
    const stream = client.request({ ':path': '/', ':method': 'POST' }, { endStream: false });
    const text: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => text.push(chunk));
    // A second request's answer shows that the first has arrived.
    await ask(client, { ':path': '/' });
    const told = once(client, 'goaway');
    protocols.drain();
    await told;
    const gone = once(client, 'close');
    stream.end('late');
    await gone;
    expect(JSON.parse(Buffer.concat(text).toString())).toMatchObject({ body: 'late' });
  });
});
