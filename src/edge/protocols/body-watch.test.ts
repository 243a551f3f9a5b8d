import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { openDoor } from '../door.fake.ts';
import type { OpenDoor } from '../door.fake.ts';

// The door of these tests looks at a body over 4 seconds and wants 100 bytes a second.
let door: OpenDoor;
afterEach(() => door.close());

function send(path: string, length: number): { readonly socket: Socket; said(): string } {
  const socket = connect(door.port, '127.0.0.1').on('error', () => undefined);
  let text = '';
  socket.on('data', (data) => (text += String(data)));
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sutaz-use\r\ncontent-length: ${length}\r\n\r\n`,
  );
  return { socket, said: () => text };
}

const tick = () => new Promise((resolve) => setImmediate(resolve));
async function until(done: () => boolean): Promise<void> {
  while (!done()) await tick();
}

it('refuses a body that stops coming, and gives everything back', async () => {
  door = await openDoor(() => undefined);
  const { socket, said } = send('/services/x/', 100);
  socket.write('x');
  await until(() => door.world.leases === 1);
  for (let i = 0; i < 5; i++) {
    await tick();
    door.clock.advance(1_000);
  }
  await once(socket, 'close');
  expect(said()).toMatch(/^HTTP\/1.1 408 /);
  expect(said()).toMatch(/^connection: close\r$/im);
  await until(() => door.world.leases === 0);
});

it('refuses one that the door reads for itself', async () => {
  door = await openDoor(() => undefined);
  const { socket, said } = send('/v1/embeddings', 100);
  socket.write('{');
  await until(() => door.clock.pending > 0);
  await tick();
  door.clock.advance(5_000);
  await once(socket, 'close');
  expect(said()).toMatch(/^HTTP\/1.1 408 /);
});

it('takes a body that comes slowly, but fast enough', async () => {
  let bytes = 0;
  door = await openDoor((req, res) => {
    req.on('data', (chunk: Buffer) => (bytes += chunk.byteLength));
    req.on('end', () => res.end('whole'));
  });
  const { socket, said } = send('/services/x/', 2_000);
  for (let sent = 100; sent <= 2_000; sent += 100) {
    socket.write('x'.repeat(100));
    await until(() => bytes === sent);
    if (sent < 2_000) door.clock.advance(1_000);
  }
  await until(() => said().includes('whole'));
  expect(said()).toMatch(/^HTTP\/1.1 200 /);
});

it('waits for a body that nobody reads yet', async () => {
  door = await openDoor((req, res) => req.on('end', () => res.end('whole')).resume());
  door.world.hold();
  const { socket, said } = send('/services/x/', 2);
  await until(() => door.world.waiting.size === 1);
  door.clock.advance(9_000);
  door.world.wake();
  socket.write('hi');
  await until(() => said().includes('whole'));
  expect(said()).toMatch(/^HTTP\/1.1 200 /);
});

it('regression: a client that breaks off is no error that nobody hears, whoever stopped reading meanwhile', async () => {
  door = await openDoor((_, res) => void res.destroy());
  const reqs: IncomingMessage[] = [];
  door.server.on('request', (req) => void reqs.push(req));
  const { socket } = send('/services/x/', 100);
  socket.write('x');
  await until(() => door.world.broken === 1 && door.world.leases === 0);
  socket.resetAndDestroy();
  expect(reqs[0]?.listenerCount('error')).toBeGreaterThan(0);
});

it('keeps no timer once no body is coming', async () => {
  door = await openDoor((req, res) => req.on('end', () => res.end('whole')).resume());
  const { socket, said } = send('/services/x/', 2);
  await until(() => door.world.leases === 1);
  socket.write('hi');
  await until(() => said().includes('whole'));
  door.clock.advance(5_000);
  expect(door.clock.pending).toBe(0);
});
