import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Transform } from 'node:stream';
import type { Duplex, TransformCallback } from 'node:stream';
import { abortFault } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { Fault, faults, toFault } from '#kernel/faults';
import type { Line } from '#routing/lines';
import type { Target } from '#routing/policy';
import type { Awake } from '#routing/wake';
import { problemOf } from './errors.ts';
import { faultHeaders } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { requestHeaders } from './headers.ts';
import { certificateAt, placeOf } from './transport/place.ts';
import { mostHead } from './transport/head-reader.ts';
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
 * on it. Rejects, with the client's side still open for an answer, when the service cannot be reached or does not answer, and
 * with both closed when it could not be woken for what was said later.
 */
export async function passUpgrade(
  exchange: Exchange,
  upgrade: Upgrade,
  { path, prefix }: { readonly path: string; readonly prefix: string },
  { awake, line, clock }: { readonly awake: Awake; readonly line: Line | null; readonly clock: Clock },
): Promise<void> {
  const upstream = await connected(awake.target, exchange.signal, clock);
  upstream.setNoDelay(true);
  // Header values are bytes that Node reads as Latin-1.
  upstream.write(handshake(exchange, path, prefix, awake), 'latin1');
  const { head, status } = await answerOf(upstream, exchange.signal).catch((error: unknown) => {
    upstream.destroy();
    throw error;
  });
  try {
    upgrade.socket.write(head);
    if (status !== 101) return await toldAlone(upgrade.socket, upstream);
    if (upgrade.head.byteLength > 0) upstream.write(upgrade.head);
    await piped(upgrade.socket, upstream, line, clock);
  } finally {
    upstream.destroy();
    upgrade.socket.destroy();
  }
}

/** Milliseconds in which a connection must be there. */
const connectMs = 10_000;

function connected({ origin, tls }: Target, signal: AbortSignal, clock: Clock): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const { host, port, secure } = placeOf(origin);
    const socket = secure
      ? process.getBuiltinModule('node:tls').connect({ host, port, ...certificateAt(host, tls) })
      : connect({ host, port });
    const onAbort = () => socket.destroy(abortFault(signal));
    const late = () => socket.destroy(new Error(`it took no connection within ${connectMs / 1000} s`));
    const cancel = clock.after(connectMs, late);
    const settle = (end: () => void) => {
      cancel();
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

const emptyLine = Buffer.from('\r\n\r\n');

/** What the service says to the handshake, as it came; what it says after that waits in its socket. */
function answerOf(upstream: Socket, signal: AbortSignal): Promise<{ readonly head: Buffer; readonly status: number }> {
  return new Promise((resolve, reject) => {
    let said: Buffer = Buffer.alloc(0);
    const settle = () => {
      upstream.off('data', onData).off('close', onClose);
      signal.removeEventListener('abort', onAbort);
    };
    const fail = (error: unknown) => {
      settle();
      reject(error as Error);
    };
    const onAbort = () => fail(abortFault(signal));
    const onClose = () => fail(new Fault('UPSTREAM_FAILED', 'The service closed the connection.', { retryAfter: 1 }));
    const onData = (chunk: Buffer) => {
      said = Buffer.concat([said, chunk]);
      const end = said.indexOf(emptyLine);
      const status = Number(/^HTTP\/1\.[01] (\d{3})\b/.exec(said.toString('latin1', 0, 12))?.[1] ?? NaN);
      if ((end < 0 && said.byteLength > mostHead) || (said.byteLength >= 12 && Number.isNaN(status)))
        return fail(new Fault('UPSTREAM_FAILED', 'The service did not answer as HTTP/1.1 has it.', { retryAfter: 1 }));
      if (end < 0) return;
      settle();
      upstream.pause();
      upstream.unshift(said.subarray(end + emptyLine.byteLength));
      resolve({ head: said.subarray(0, end + emptyLine.byteLength), status });
    };
    upstream.on('data', onData).on('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * The service stays with HTTP: the client hears that, and nothing more of what it says goes there. It would be requests of its
 * own to the service, past every rule of the door.
 */
function toldAlone(client: Duplex, upstream: Socket): Promise<void> {
  return new Promise((resolve) => {
    for (const side of [client, upstream]) {
      if (side.destroyed) resolve();
      side.once('close', resolve).on('error', () => resolve());
    }
    client.resume();
    upstream.once('end', () => client.end(() => resolve()));
    upstream.pipe(client, { end: false });
  });
}

/**
 * Milliseconds of silence that one side has after the other has ended. It may have more to say, to one that only reads on; a
 * client that is gone looks the same, and a service that never answers its end would hold the lease for good.
 */
const farewellMs = 10_000;

function piped(client: Duplex, upstream: Socket, line: Line | null, clock: Clock): Promise<void> {
  let cancel = () => undefined as void;
  const piping = new Promise<void>((resolve, reject) => {
    const wait = () => {
      cancel();
      cancel = clock.after(farewellMs, resolve);
    };
    for (const [side, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      // Closed while the other was being reached: that is not told again.
      if (side.destroyed) resolve();
      side.once('close', () => {
        // A client that reads slowly has not had the end of what was said yet.
        const isBehind = side === upstream && side.readableEnded && !client.writableFinished && !client.destroyed;
        if (isBehind) client.once('finish', resolve);
        else resolve();
      });
      // An error is followed by close; unheard it would end the process.
      side.on('error', () => resolve());
      side.once('end', () => {
        // The other side may be frozen and not say good-bye, and it is not woken for that alone.
        if (line?.isSilent()) return resolve();
        wait();
        other.on('data', wait);
      });
    }
    const through = (from: Duplex, to: Duplex) =>
      line ? from.pipe(gate(line)).on('error', reject).pipe(to) : from.pipe(to);
    through(client, upstream);
    through(upstream, client);
  });
  return piping.finally(() => cancel());
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
