/** A client of HTTP/2 with the frames of `ws`, and a service that is a WebSocket server of `ws`, through a door on real ports. */
import { hash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:http2';
import type { ClientHttp2Session, Settings } from 'node:http2';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { trackConnections } from '../connections.ts';
import { openDoor } from '../door.fake.ts';
import type { OpenDoor } from '../door.fake.ts';
import type { DoorDeps } from '../door.ts';
import { createMoving } from '../moving.ts';
import { speakProtocols } from './speak.ts';
import { openHttp2WebSocket } from './websocket-client.fake.ts';

const limits = { streams: 8, headers: 16_384, headerCount: 100, url: 8_192, keepAlive: 60_000, headerTimeout: 1_000 };
const key = { 'x-sutaz-key': 'sutaz-use' };

let door: OpenDoor;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
  door.close();
});

const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
};

async function open(more: Partial<DoorDeps> = {}) {
  door = await openDoor((_, res) => res.end('no socket here'), more);
  const connections = trackConnections(door.server);
  const { clock } = door;
  const onHandedOver = (socket: Socket) => connections.forget(socket);
  const protocols = speakProtocols(door.server, { clock, limits, onHandedOver });
  closers.push(() => protocols.close());
  return { connections, protocols };
}

/** A service that echoes, tells how its clients left, and says who it is when it is asked. */
function serve() {
  const server = new WebSocketServer({
    server: door.upstream,
    handleProtocols: () => 'second',
    perMessageDeflate: true,
  });
  const seen = { requests: [] as IncomingMessage[], sockets: [] as WebSocket[], closed: [] as number[] };
  server.on('connection', (socket, req) => {
    seen.requests.push(req);
    seen.sockets.push(socket);
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on('close', (code) => seen.closed.push(code)).on('error', () => undefined);
  });
  closers.push(() => server.clients.forEach((one) => one.terminate()));
  return seen;
}

function session(settings: Settings = {}): ClientHttp2Session {
  const client = connect(`http://localhost:${door.port}`, { settings });
  client.on('error', () => undefined);
  closers.push(() => client.destroy());
  return client;
}

describe('a WebSocket over HTTP/2', () => {
  it('is one of HTTP/1.1 to its service: its own handshake, without what is ours, and both share one connection', async () => {
    await open();
    const seen = serve();
    const client = session();
    const headers = {
      ...key,
      'sec-websocket-protocol': 'first, second',
      cookie: 'sutaz_session=x; theirs=1',
      host: '',
    };
    const { host: _none, ...sent } = headers;
    const one = await openHttp2WebSocket(client, '/services/x/ws?a=1', sent);
    const two = await openHttp2WebSocket(client, '/services/x/other', key);
    expect(one.answer).toMatchObject({ ':status': 200, 'sec-websocket-protocol': 'second' });
    expect(Object.keys(one.answer)).not.toContain('sec-websocket-accept');
    expect([seen.requests[0]?.url, seen.requests[0]?.headers]).toMatchObject([
      '/ws?a=1',
      { host: `localhost:${door.port}`, cookie: 'theirs=1', 'x-forwarded-prefix': '/services/x' },
    ]);
    expect(JSON.stringify(seen.requests[0]?.headers)).not.toContain('sutaz-use');
    one.send('hello');
    two.send(Buffer.alloc(300_000, 'x'));
    await until(() => one.got.length > 0 && two.got.length > 0);
    expect([one.got, two.got, door.world.leases]).toEqual([['hello'], ['300000'], 2]);
    one.closeWith(1000);
    await once(one.stream, 'close');
    await until(() => door.world.leases === 1);
    expect([one.got.at(-1), seen.closed]).toEqual(['close 1000', [1000]]);
  });

  it.each([
    ['without a key', '/services/x/ws', {}, 401],
    ['with a wrong key', '/services/x/ws', { 'x-sutaz-key': 'sutaz-wrong' }, 401],
    ['to what is no service', '/services/y/ws', key, 404],
    ['to an API', '/v1/realtime', key, 404],
    ['from a page elsewhere', '/services/x/ws', { ...key, ':authority': 'evil.example' }, 403],
  ])('%s is refused with a whole answer, and holds nothing', async (_, path, headers, status) => {
    await open();
    serve();
    const { answer, stream } = await openHttp2WebSocket(session(), path, headers);
    expect(answer).toMatchObject({
      ':status': status,
      'content-type': expect.stringContaining('problem+json') as string,
    });
    let text = '';
    stream.on('data', (chunk) => (text += String(chunk)));
    await once(stream, 'close');
    expect(JSON.parse(text)).toMatchObject({ status });
    expect(door.world.leases).toBe(0);
  });

  it.each([
    [{ ':method': 'CONNECT', ':authority': 'a:1' }, 405],
    [{ ':method': 'CONNECT', ':protocol': 'connect-udp', ':path': '/services/x/' }, 501],
    [{ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/services/x/', ':authority': 'a', host: 'b' }, 400],
  ])('%o is answered with %i', async (headers, status) => {
    await open();
    const client = session();
    await once(client, 'remoteSettings');
    const stream = client.request(headers as Record<string, string>, { endStream: false });
    const [answer] = (await once(stream, 'response')) as [Record<string, unknown>];
    expect(answer[':status']).toBe(status);
  });

  it('regression: an answer of 200 from a service that knows no WebSockets is not passed on, where it would mean yes', async () => {
    await open();
    const { answer, stream, got } = await openHttp2WebSocket(session(), '/services/x/plain', key);
    let text = '';
    stream.on('data', (chunk) => (text += String(chunk)));
    await once(stream, 'close');
    expect([answer[':status'], text, got]).toEqual([502, '', []]);
    await until(() => door.world.leases === 0);
  });

  it.each([
    ['chunked', 'HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n', [403, 'no!']],
    ['measured', 'HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\nno!and more', [403, 'no!']],
    ['empty', 'HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n', [401, '']],
    ['garbled', 'HTTP/1.1 403 Forbidden\r\nbad header\r\n\r\n', [502, '']],
    ['unproven', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n', [502, '']],
  ])('a handshake that is declined (%s) is told as it is', async (_, said, expected) => {
    await open();
    door.upstream.on('upgrade', (_req, socket: Socket) => {
      closers.push(() => socket.destroy());
      socket.on('error', () => undefined).write(said);
    });
    const { answer, stream } = await openHttp2WebSocket(session(), '/services/x/ws', key);
    let text = '';
    stream.on('data', (chunk) => (text += String(chunk)));
    await once(stream, 'close');
    expect([answer[':status'], text]).toEqual(expected);
    await until(() => door.world.leases === 0);
  });
});

describe('its lease is given back', () => {
  const opened = async () => {
    const more = await open();
    const seen = serve();
    const client = session();
    const one = await openHttp2WebSocket(client, '/services/x/ws', key);
    expect([one.answer[':status'], door.world.leases]).toEqual([200, 1]);
    return { ...one, ...more, seen, client };
  };
  const over = () => until(() => door.world.leases === 0);

  it('when its client resets the stream', async () => {
    const { stream, seen } = await opened();
    stream.close(8);
    await over();
    await until(() => seen.closed.length === 1);
  });

  it('when the connection of its client breaks', async () => {
    const { client, seen } = await opened();
    client.socket.destroy();
    await over();
    await until(() => seen.closed.length === 1);
  });

  it('when the service says good-bye, and the client hears the code', async () => {
    const { stream, got, seen, closeWith } = await opened();
    seen.sockets[0]?.close(4001);
    await until(() => got.includes('close 4001'));
    closeWith(4001);
    await once(stream, 'close');
    await over();
  });

  it('when the service is gone, and its client sees a stream that broke off', async () => {
    const { stream, seen } = await opened();
    seen.sockets[0]?.terminate();
    await once(stream, 'close');
    await over();
  });

  it('when the platform ends: what is open is closed by stream, not by connection', async () => {
    const { stream, connections, client } = await opened();
    connections.closeUpgraded();
    await once(stream, 'close');
    await over();
    expect(client.destroyed).toBe(false);
  });

  it('and is not even asked for any more when its client left before the service was awake', async () => {
    await open();
    serve();
    door.world.hold();
    const client = session();
    await once(client, 'remoteSettings');
    const asked = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/services/x/ws', ...key };
    const stream = client.request(asked, { endStream: false });
    stream.on('error', () => undefined);
    await until(() => door.world.waiting.size === 1);
    stream.close(8);
    await until(() => door.world.waiting.size === 0);
    expect(door.world.leases).toBe(0);
  });

  it('regression: only once what the service said last has arrived, however late it is read', async () => {
    await open();
    const much = 10_000;
    door.upstream.on('upgrade', (req: IncomingMessage, socket: Socket) => {
      const accept = hash('sha1', `${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`, 'base64');
      socket.on('error', () => undefined).resume();
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: ${accept}\r\n\r\n`);
      socket.end(Buffer.alloc(much));
    });
    const served = once(door.upstream, 'upgrade') as Promise<[IncomingMessage, Socket]>;
    const { stream } = await openHttp2WebSocket(session({ initialWindowSize: 100 }), '/services/x/ws', key);
    stream.unpipe();
    stream.pause();
    const [, socket] = await served;
    await once(socket, 'close');
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => (bytes += chunk.byteLength)).resume();
    await once(stream, 'close');
    expect(bytes).toBe(much);
    await over();
  });

  it('in its silence, where the unit may sleep; its next byte takes one again', async () => {
    await open();
    serve();
    door.world.silenceMs = 1_000;
    const { got, send } = await openHttp2WebSocket(session(), '/services/x/ws', key);
    door.clock.advance(1_000);
    expect([door.world.leases, door.world.open]).toEqual([0, 1]);
    door.world.hold();
    send('hello');
    await until(() => door.world.waiting.size === 1);
    expect(got).toEqual([]);
    door.world.wake();
    await until(() => got.length === 1);
    expect([got, door.world.leases]).toEqual([['hello'], 1]);
  });
});

it('waits while another process takes the place, and goes on there as it came', async () => {
  const moving = createMoving();
  await open({ moving });
  const seen = serve();
  moving.begin();
  const opening = openHttp2WebSocket(session(), '/elsewhere/ws', { ...key, 'x-mine': '1' });
  moving.end({ host: '127.0.0.1', port: Number(new URL(door.world.origin).port) });
  const { answer, send, got } = await opening;
  expect(answer[':status']).toBe(200);
  send('hello');
  await until(() => got.length === 1);
  expect([seen.requests[0]?.url, seen.requests[0]?.headers['x-mine']]).toEqual(['/elsewhere/ws', '1']);
});
