import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Transform } from 'node:stream';
import type { Duplex, TransformCallback } from 'node:stream';
import { abortFault } from '#kernel/abort';
import { Fault, faults, toFault } from '#kernel/faults';
import type { Line } from '#routing/lines';
import type { Target } from '#routing/policy';
import type { Awake } from '#routing/wake';
import { problemOf } from './errors.ts';
import { faultHeaders } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { requestHeaders } from './headers.ts';
import { certificateAt, placeOf } from './transport/place.ts';
import { requestHead } from './transport/request-head.ts';

/** The client's side of a connection that is to become something else than HTTP. */
export interface Upgrade {
  readonly socket: Duplex;
  /** What the client sent after its request already. */
  readonly head: Buffer;
}

/**
 * Hands an upgraded connection through, byte by byte: the handshake is the service's own. Resolves when either side has
 * closed, so that the unit stays leased for as long as the connection is open; with a line, for as long as something is said
 * on it. Rejects, with the client's side still open for an answer, when the service cannot be reached, and with both closed
 * when it could not be woken for what was said later.
 */
export async function passUpgrade(
  exchange: Exchange,
  upgrade: Upgrade,
  path: string,
  prefix: string,
  awake: Awake,
  line: Line | null,
): Promise<void> {
  const upstream = await connected(awake.target, exchange.signal);
  try {
    upstream.setNoDelay(true);
    // Header values are bytes that Node reads as Latin-1.
    upstream.write(handshake(exchange, path, prefix, awake), 'latin1');
    if (upgrade.head.byteLength > 0) upstream.write(upgrade.head);
    await piped(upgrade.socket, upstream, line);
  } finally {
    upstream.destroy();
    upgrade.socket.destroy();
  }
}

function connected({ origin, tls }: Target, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { host, port, secure } = placeOf(origin);
    const socket = secure
      ? process.getBuiltinModule('node:tls').connect({ host, port, ...certificateAt(host, tls) })
      : connect({ host, port });
    const onAbort = () => socket.destroy(abortFault(signal));
    const settle = (end: () => void) => {
      signal.removeEventListener('abort', onAbort);
      end();
    };
    socket.once(secure ? 'secureConnect' : 'connect', () => settle(() => resolve(socket)));
    socket.on('error', (error) => settle(() => reject(unreachable(error))));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

const unreachable = (error: Error): Fault =>
  error instanceof Fault
    ? error
    : new Fault('UPSTREAM_FAILED', `The service could not be reached: ${error.message}`, {
        cause: error,
        retryAfter: 1,
      });

function handshake(exchange: Exchange, path: string, prefix: string, awake: Awake): string {
  const { req, method } = exchange;
  const headers = requestHeaders(exchange, { prefix, key: awake.target.key });
  // These two are of this connection, and here they are the very thing that is asked for.
  headers.push('connection', 'Upgrade', 'upgrade', req.headers.upgrade ?? 'websocket');
  return requestHead({ method, path: awake.target.basePath + path, headers, body: null }, req.headers.host ?? '');
}

function piped(client: Duplex, upstream: Socket, line: Line | null): Promise<void> {
  return new Promise((resolve, reject) => {
    for (const side of [client, upstream]) {
      // Closed while the other was being reached: that is not told again.
      if (side.destroyed) resolve();
      side.once('close', resolve);
      // An error is followed by close; unheard it would end the process.
      side.on('error', () => resolve());
      // The other side may be frozen and not say good-bye, and it is not woken for that alone.
      side.once('end', () => line?.isSilent() && resolve());
    }
    const through = (from: Duplex, to: Duplex) =>
      line ? from.pipe(gate(line)).on('error', reject).pipe(to) : from.pipe(to);
    through(client, upstream);
    through(upstream, client);
  });
}

/** Lets bytes through while the unit is awake. Else they wait, and what comes after them stays in its socket. */
const gate = (line: Line): Transform =>
  new Transform({
    transform(chunk: Buffer, _, done: TransformCallback) {
      const waking = line.said();
      if (waking === null) done(null, chunk);
      else waking.then(() => done(null, chunk), done);
    },
  });

/** Refuses an upgrade with a whole HTTP answer, since no answer object exists for it. */
export function refuseUpgrade({ traceId }: Exchange, socket: Duplex, thrown: unknown): Fault {
  const fault = toFault(thrown);
  if (!socket.writable) return fault;
  const { status, title } = faults[fault.code];
  const body = JSON.stringify(problemOf(fault, traceId));
  const headers = {
    'content-type': 'application/problem+json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    'x-sutaz-trace-id': traceId,
    connection: 'close',
    ...faultHeaders(fault),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${title}\r\n${lines.join('')}\r\n${body}`);
  return fault;
}
