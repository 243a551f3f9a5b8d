import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Place } from '#routing/policy';

/** What an upstream does with a connection on which a request has come. */
export type Manners = (socket: Socket, request: string) => void;

const answer = (head: string, body = '') => `HTTP/1.1 ${head}\r\n${body === '' ? '' : `\r\n${body}`}`;
const reset = (socket: Socket, text: string) => void socket.write(text, 'latin1', () => socket.resetAndDestroy());

export const ok: Manners = (socket) => void socket.write(answer('200 OK\r\ncontent-length: 4', 'good'));
const stream = 'content-type: text/event-stream\r\ntransfer-encoding: chunked';

/** The faults of the table, each of a real server. */
export const manners = {
  hangs: () => undefined,
  'resets before its answer': (socket) => void socket.resetAndDestroy(),
  'resets in its headers': (socket) => reset(socket, 'HTTP/1.1 200 OK\r\ncontent-le'),
  'resets in its body': (socket) => reset(socket, answer('200 OK\r\ncontent-length: 9', 'half')),
  'resets in its stream': (socket) => reset(socket, answer(`200 OK\r\n${stream}`, '9\r\ndata: 1\n\n\r\n')),
  'closes its half': (socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'),
  'answers garbage': (socket) => void socket.write('\u0016\u0003\u0001 what?\r\n\r\n'),
  'answers with two lengths': (socket) =>
    void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx'),
  'answers with a megabyte of headers': (socket) =>
    void socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(2 ** 20)}\r\ncontent-length: 0\r\n\r\n`),
  'answers byte by byte': (socket) => drip(socket, () => 'H'),
  'says 1xx for ever': (socket) => drip(socket, () => 'HTTP/1.1 102 Processing\r\n\r\n'),
  'answers 503': (socket) => void socket.write(answer('503 No\r\ncontent-length: 2', 'no')),
  'asks for a pause': (socket) => void socket.write(answer('503 No\r\nretry-after: 30\r\ncontent-length: 2', 'no')),
  'answers 500': (socket) => void socket.write(answer('500 Oh\r\ncontent-length: 2', 'oh')),
} as const satisfies Record<string, Manners>;

function drip(socket: Socket, piece: () => string): void {
  const more = () => {
    if (!socket.destroyed) socket.write(piece(), () => setImmediate(more));
  };
  more();
}

/** A server that behaves as it is told, and whose behaviour may change. It counts the requests that reach it. */
export async function misbehaving(first: Manners) {
  const sockets = new Set<Socket>();
  const world = { behave: first, seen: 0, open: 0, url: '' };
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    world.open++;
    socket.on('close', () => (sockets.delete(socket), world.open--));
    socket.on('error', () => undefined);
    socket.on('end', () => socket.end());
    socket.on('data', (data) => {
      world.seen++;
      world.behave(socket, data.toString('latin1'));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  world.url = `http://127.0.0.1:${port}`;
  return Object.assign(world, {
    /** From now on it refuses connections, until `listen`. */
    async close() {
      for (const socket of sockets) socket.destroy();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
    listen: async () => void (await once(server.listen(port, '127.0.0.1'), 'listening')),
  });
}

export type Misbehaving = Awaited<ReturnType<typeof misbehaving>>;

export const placeAt = ({ url }: Pick<Misbehaving, 'url'>, weight = 1): Place => ({
  ...{ url, weight },
  target: { origin: url, basePath: '', key: null },
});
