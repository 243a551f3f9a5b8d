import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, createServer as createTcp } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { Fault } from '#kernel/faults';
import { issue, makeAuthority } from '#security/authority';
import { openDoor } from './door.fake.ts';
import type { OpenDoor } from './door.fake.ts';

let door: OpenDoor;
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  door.close();
});
const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
};

/** A service that says what it was asked, then echoes. */
async function openEcho() {
  door = await openDoor((_, res) => res.end());
  door.upstream.on('upgrade', (req: IncomingMessage, socket: Socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: ${req.headers.upgrade}\r\n\r\n`);
    socket.write(`${req.url} ${JSON.stringify(req.headers)}\n`);
    socket.pipe(socket);
  });
}

function upgrade(path: string, more = 'x-sutaz-key: sutaz-use\r\n') {
  const socket = connect(door.port, '127.0.0.1');
  sockets.push(socket);
  const got = { text: '' };
  socket.on('data', (data) => (got.text += data.toString('latin1')));
  socket.on('error', () => undefined);
  const head = `GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n`;
  socket.write(`${head}x-name: caf\xe9\r\ncookie: sutaz_session=secret\r\n${more}\r\n`, 'latin1');
  return { socket, got };
}

it('goes through both ways, without what is ours, and holds its lease until it closes', async () => {
  await openEcho();
  const { socket, got } = upgrade('/services/x/ws?a=1');
  await until(() => got.text.includes('\n/ws?a=1 {'));
  expect(got.text).toMatch(/^HTTP\/1.1 101 /);
  expect(got.text).toContain('"x-name":"caf');
  expect(got.text).not.toMatch(/secret|sutaz-use/);
  socket.write('hello');
  await until(() => got.text.endsWith('hello'));
  expect(door.world.leases).toBe(1);
  socket.destroy();
  await until(() => door.world.leases === 0);
});

it('ends for the client when it ends for the service', async () => {
  await openEcho();
  const { socket, got } = upgrade('/services/x/ws');
  await until(() => got.text.includes('101'));
  for (const one of sockets) if (one !== socket) one.destroy();
  await once(socket, 'close');
  await until(() => door.world.leases === 0);
});

it.each([
  ['/services/x/ws', '', 401],
  ['/services/y/ws', undefined, 404],
  ['/v1/realtime', undefined, 404],
  ['/services/%zz/ws', undefined, 400],
])('%s is refused with a whole answer', async (path, more, status) => {
  await openEcho();
  const { socket, got } = upgrade(path, more);
  await once(socket, 'end');
  expect(got.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(got.text).toContain('application/problem+json');
});

it('regression: a service that cannot be reached is answered with 502', async () => {
  await openEcho();
  door.world.origin = 'http://127.0.0.1:1';
  const { socket, got } = upgrade('/services/x/ws');
  await once(socket, 'end');
  expect(got.text).toMatch(/^HTTP\/1.1 502 /);
  expect(door.world.leases).toBe(0);
});

it('regression: a client that left while the service was reached gives its lease back', async () => {
  await openEcho();
  door.world.hold();
  const { socket } = upgrade('/services/x/ws');
  await until(() => door.world.waiting.size === 1);
  socket.destroy();
  door.world.wake();
  await until(() => door.world.waiting.size === 0 || door.world.leases === 0);
  await until(() => door.world.leases === 0);
});

it('regression: a client that ended gives its lease back when the service says no more, and not while it does', async () => {
  door = await openDoor((_, res) => res.end());
  let service: Socket | undefined;
  const seen = { end: false };
  door.upstream.on('upgrade', (_: IncomingMessage, socket: Socket) => {
    sockets.push((service = socket));
    // It never ends its own side.
    socket.on('error', () => undefined).on('end', () => (seen.end = true));
    socket.resume().write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n');
  });
  const { socket, got } = upgrade('/services/x/ws');
  await until(() => got.text.includes('101'));
  socket.end();
  await until(() => seen.end);
  door.clock.advance(9_000);
  service?.write('more');
  await until(() => got.text.endsWith('more'));
  door.clock.advance(9_000);
  expect(door.world.leases).toBe(1);
  door.clock.advance(1_000);
  await once(socket, 'close');
  await until(() => door.world.leases === 0);
});

it('regression: a service that takes the connection and says nothing of TLS is given up', async () => {
  await openEcho();
  const mute = createTcp((socket) => void sockets.push(socket));
  await once(mute.listen(0, '127.0.0.1'), 'listening');
  door.world.origin = `https://127.0.0.1:${(mute.address() as AddressInfo).port}`;
  const { socket, got } = upgrade('/services/x/ws');
  await once(mute, 'connection');
  door.clock.advance(10_000);
  await once(socket, 'end');
  expect(got.text).toMatch(/^HTTP\/1.1 502 /);
  expect(got.text).toContain('no connection within 10 s');
  expect(door.world.leases).toBe(0);
  mute.close();
});

/** Connected, and nothing said for long enough. */
async function silent(path = '/services/x/ws') {
  door.world.silenceMs = 1_000;
  const one = upgrade(path);
  await until(() => one.got.text.includes('\n/ws {'));
  door.clock.advance(1_000);
  return one;
}

describe('a connection that may be silent', () => {
  it('gives its lease back, keeps both sides open, and takes one again before its first byte passes', async () => {
    await openEcho();
    const { socket, got } = await silent();
    expect([door.world.leases, door.world.open]).toEqual([0, 1]);
    door.world.hold();
    for (const word of ['one', 'two', 'three']) socket.write(`${word} `);
    await until(() => door.world.waiting.size === 1);
    const before = got.text;
    socket.write('four');
    await new Promise((resolve) => setImmediate(resolve));
    expect(got.text).toBe(before);
    door.world.wake();
    await until(() => got.text.endsWith('one two three four'));
    expect(door.world.leases).toBe(1);
    socket.destroy();
    await until(() => door.world.leases === 0 && door.world.open === 0);
  });

  it('holds what is sent meanwhile back where it comes from, however much it is', async () => {
    await openEcho();
    const { socket, got } = await silent();
    door.world.hold();
    const much = Buffer.alloc(8 * 2 ** 20, 'x');
    const drained = { yes: false };
    socket.write(much, () => (drained.yes = true));
    await until(() => door.world.waiting.size === 1);
    expect(drained.yes).toBe(false);
    const before = got.text.length;
    door.world.wake();
    await until(() => got.text.length === before + much.byteLength);
    expect(got.text.slice(before)).toBe(much.toString());
  });

  it('takes a lease again for what the service says', async () => {
    await openEcho();
    const { got } = await silent();
    door.world.hold();
    for (const one of sockets) if (one.localPort === Number(new URL(door.world.origin).port)) one.write('ping');
    await until(() => door.world.waiting.size === 1);
    expect(got.text).not.toContain('ping');
    door.world.wake();
    await until(() => got.text.endsWith('ping'));
    expect(door.world.leases).toBe(1);
  });

  it('is closed on both sides, without a word, when the unit cannot be woken', async () => {
    await openEcho();
    const { socket, got } = await silent();
    const before = got.text;
    door.world.hold();
    socket.write('hello');
    await until(() => door.world.waiting.size === 1);
    door.world.fail(new Fault('NO_MEMORY', 'too little'));
    await once(socket, 'close');
    expect(got.text).toBe(before);
    expect(door.logged).toMatchObject([{ code: 'UPSTREAM_FAILED', error: expect.stringContaining('too little') }]);
    await until(() => door.world.open === 0);
    expect(door.world.leases).toBe(0);
  });

  it('ends for both when one side ends it in its silence, and wakes nobody for that', async () => {
    await openEcho();
    const { socket } = await silent();
    door.world.hold();
    socket.end();
    await once(socket, 'close');
    await until(() => door.world.open === 0);
    expect(door.world.waiting.size).toBe(0);
  });
});

it('speaks TLS where its place does, by the certificates that the place names', async () => {
  await openEcho();
  const authority = await makeAuthority('A test', Date.now());
  const secured = createServer(await issue(authority, ['files.test'], Date.now()));
  secured.on('secureConnection', (socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'));
  });
  await once(secured.listen(0, '127.0.0.1'), 'listening');
  const { port } = secured.address() as { port: number };
  for (const scheme of ['https', 'h2']) {
    const target = {
      ...{ origin: `${scheme}://127.0.0.1:${port}`, basePath: '', key: 'secret' },
      tls: { id: '1', ca: authority.cert, serverName: 'files.test' },
    };
    door.world.treat({ places: [{ url: scheme, weight: 1, target }] });
    const { got } = upgrade('/services/x/ws');
    await until(() => got.text.includes('\r\n\r\n'));
    expect(got.text).toMatch(/^HTTP\/1.1 101 /);
  }
  secured.close();
});

it('regression: a client whose upgrade the service declined cannot go on to ask it by itself', async () => {
  const asked: (string | undefined)[] = [];
  door = await openDoor((req, res) => {
    asked.push(req.url);
    res.end('no socket here');
  });
  // As a service that knows nothing of upgrades: it answers as if none had been asked for.
  const { socket, got } = upgrade('/services/x/plain');
  await until(() => got.text.includes('no socket here'));
  expect(got.text).toMatch(/^HTTP\/1.1 200 /);
  socket.write('GET /past-every-rule HTTP/1.1\r\nhost: x\r\n\r\n');
  door.upstream.closeIdleConnections();
  await once(socket, 'close');
  expect(asked).toEqual(['/plain']);
  await until(() => door.world.leases === 0);
});

it('a service that answers the handshake with something else is told of as one that failed', async () => {
  door = await openDoor((_, res) => res.end());
  door.upstream.on('connection', (raw: Socket) => raw.end('SSH-2.0-hello there\r\n'));
  const { socket, got } = upgrade('/services/x/ws');
  await once(socket, 'close');
  expect(got.text).toMatch(/^HTTP\/1.1 502 /);
  await until(() => door.world.leases === 0);
});
