import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
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
