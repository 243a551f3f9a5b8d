import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { memoryState } from '#contracts/state.fake';
import { unitId } from '#kernel/ids';
import { freePort, openPorts } from './ports.ts';

const host = '127.0.0.1';
const [db, cache, model] = [unitId('service', 'db'), unitId('service', 'cache'), unitId('model', 'm')];

async function listenAt(port: number): Promise<void> {
  const server = createServer().listen(port, host);
  onTestFinished(() => void server.close());
  await once(server, 'listening');
}

it('a service has the port that it had, also in the next process of the platform', async () => {
  const store = memoryState();
  const port = await openPorts(store).take(db, host);
  expect(await openPorts(store).take(db, host)).toBe(port);
  expect(await openPorts(store).take(cache, host)).not.toBe(port);
});

it('has another one where that is taken by now, or where it could not be started, and keeps the new one', async () => {
  const ports = openPorts(memoryState());
  const first = await ports.take(db, host);
  await listenAt(first);
  const second = await ports.take(db, host);
  expect(second).not.toBe(first);
  expect(await ports.take(db, host)).toBe(second);
  ports.forget(db);
  // The kernel may choose it again, but then from some ten thousand.
  const later = [];
  for (let i = 0; i < 3; i++) later.push((ports.forget(db), await ports.take(db, host)));
  expect(later.some((port) => port !== second)).toBe(true);
});

it('no other service is given the port of one that sleeps', async () => {
  const port = await freePort();
  // All but a few of those that the kernel chooses from belong to somebody.
  const taken = new Set(Array.from({ length: 2 ** 16 }, (_, i) => i));
  expect(await freePort(host, new Set([port]))).not.toBe(port);
  // With none left it is better to start, and perhaps to meet that one, than not to.
  expect(await freePort(host, taken)).toBeGreaterThan(0);
});

it("those of models are nobody's to remember", async () => {
  const store = memoryState();
  await openPorts(store).take(model, host);
  expect(store.rows.get('ports')?.size ?? 0).toBe(0);
});

it('a disk that is full does not hide why a start failed', () => {
  const full = () => {
    throw new Error('disk full');
  };
  const table = { get: () => null, put: full, delete: full, list: () => [] };
  expect(() => openPorts({ table: () => table, close: async () => undefined }).forget(db)).not.toThrow();
});
