import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { faults, toFault } from '#kernel/faults';
import type { Awake } from '#routing/wake';
import { problemOf } from './errors.ts';
import type { Exchange } from './exchange.ts';
import { requestHeaders } from './headers.ts';

/** The client's side of a connection that is to become something else than HTTP. */
export interface Upgrade {
  readonly socket: Duplex;
  /** What the client sent after its request already. */
  readonly head: Buffer;
}

/**
 * Hands an upgraded connection through, byte by byte: the handshake is the service's own. Resolves when either side has
 * closed, so that the unit stays leased for as long as the connection is open.
 */
export async function passUpgrade(
  exchange: Exchange,
  upgrade: Upgrade,
  path: string,
  prefix: string,
  awake: Awake,
): Promise<void> {
  const { hostname, port } = new URL(awake.target.origin);
  const upstream = connect({ host: hostname, port: Number(port) });
  try {
    await connected(upstream);
    upstream.setNoDelay(true);
    upstream.write(handshake(exchange, path, prefix, awake));
    if (upgrade.head.byteLength > 0) upstream.write(upgrade.head);
    await piped(upgrade.socket, upstream);
  } finally {
    upstream.destroy();
    upgrade.socket.destroy();
  }
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
}

function handshake(exchange: Exchange, path: string, prefix: string, awake: Awake): string {
  const { req, method } = exchange;
  const headers = requestHeaders(exchange, { prefix, key: awake.target.key, remote: req.socket.remoteAddress });
  // These two are of this connection, and here they are the very thing that is asked for.
  headers.connection = 'Upgrade';
  headers.upgrade = req.headers.upgrade ?? 'websocket';
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => `${name}: ${one}`),
  );
  return `${method} ${awake.target.basePath}${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
}

function piped(client: Duplex, upstream: Socket): Promise<void> {
  return new Promise((resolve) => {
    for (const side of [client, upstream]) {
      side.once('close', resolve);
      // An error is followed by close; unheard it would end the process.
      side.on('error', () => resolve());
    }
    client.pipe(upstream);
    upstream.pipe(client);
  });
}

/** Refuses an upgrade with a whole HTTP answer, since no answer object exists for it. */
export function refuseUpgrade(exchange: Exchange, socket: Duplex, thrown: unknown): void {
  const fault = toFault(thrown);
  const { status } = faults[fault.code];
  const body = JSON.stringify(problemOf(fault, exchange.traceId));
  socket.end(
    `HTTP/1.1 ${status} ${faults[fault.code].title}\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
