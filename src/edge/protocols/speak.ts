import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Server as TlsServer, TLSSocket } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { Clock } from '#kernel/clock';
import type { Pair } from '../workers/messages.ts';
import type { Workers } from '../workers/workers.ts';
import { protocolOf } from './first-bytes.ts';
import type { Protocol } from './first-bytes.ts';
import { createSessions } from './http2.ts';
import type { Handlers, Http2Limits } from './http2.ts';

export interface ProtocolDeps {
  readonly clock: Clock;
  readonly limits: Http2Limits & {
    /** Milliseconds in which a client has said what it speaks. */
    readonly headerTimeout: number;
  };
  /** Told of a connection that is no longer one of HTTP/1.1, or not yet. */
  readonly onHandedOver: (socket: Socket) => void;
  /** Others who speak TLS for it; null where it does so itself. */
  readonly workers?: Workers | null;
}

/** What the listener speaks beside HTTP/1.1. */
export interface Protocols {
  /** Certificate and key for connections from now on; those that are open keep theirs. */
  secure(pair: Pair): void;
  /** HTTP/2 clients are told to ask elsewhere. */
  drain(): void;
  close(): void;
}

/**
 * Lets the listener of HTTP/1.1 take HTTP/2 and TLS on the same port: the first bytes of a connection decide, once. Node's
 * own handler gets what is left, with those bytes, so that a request of HTTP/1.1 costs nothing more.
 */
export function speakProtocols(server: Server, deps: ProtocolDeps): Protocols {
  const { clock, limits, onHandedOver, workers = null } = deps;
  const http1 = server.listeners('connection') as ((socket: Duplex) => void)[];
  const handlers: Handlers = {
    request: (req, res) => void server.emit('request', req, res),
    upgrade: ({ req, socket }) => void server.emit('upgrade', req, socket, Buffer.alloc(0)),
  };
  const sessions = createSessions(handlers, limits);
  let tls: TlsServer | null = null;
  const plain = (socket: Duplex) => {
    for (const handle of http1) handle.call(server, socket);
  };
  const handOver = (socket: Socket, take: (socket: Socket) => void) => {
    onHandedOver(socket);
    // A client that closes its side has left: half of a connection is of no use to TLS, nor to HTTP/2.
    socket.allowHalfOpen = false;
    take(socket);
  };
  const speakTls = (secure: TlsServer) => (socket: Socket) => {
    const here = () => void secure.emit('connection', socket);
    if (workers) workers.offer(socket, here);
    else here();
  };
  const decide = (socket: Socket, protocol: Protocol, seen: Buffer) => {
    const other = otherThanHttp1(protocol);
    if (other) {
      socket.pause();
      socket.unshift(seen);
      return handOver(socket, other);
    }
    plain(socket);
    // Said again rather than put back: that would take another turn, and its bytes would be read twice.
    socket.emit('data', seen);
  };
  const otherThanHttp1 = (protocol: Protocol): ((socket: Socket) => void) | null => {
    if (protocol === 'http2') return sessions.take;
    return protocol === 'tls' && tls ? speakTls(tls) : null;
  };
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    if (!isSecured(socket))
      return onProtocol(socket, clock, limits.headerTimeout, (found, seen) => decide(socket, found, seen));
    if (socket.alpnProtocol === 'h2') return handOver(socket, sessions.take);
    plain(socket);
  });
  return {
    secure(pair) {
      if (tls) tls.setSecureContext(pair);
      else tls = listenTls(pair, server, limits.headerTimeout);
      workers?.secure(pair);
    },
    drain: () => sessions.drain(),
    close: () => sessions.close(),
  };
}

const isSecured = (socket: Socket): socket is TLSSocket => 'encrypted' in socket && socket.encrypted === true;

function listenTls(pair: Pair, server: Server, handshakeTimeout: number): TlsServer {
  const tls = process.getBuiltinModule('node:tls').createServer({
    ...{ ...pair, handshakeTimeout },
    ALPNProtocols: ['h2', 'http/1.1'],
  });
  tls.on('secureConnection', (socket) => server.emit('connection', socket));
  tls.on('tlsClientError', (_, socket) => socket.destroy());
  return tls;
}

const late = 'HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n';

/** Reads until it is certain what is spoken. One that says too little is closed. */
function onProtocol(
  socket: Socket,
  clock: Clock,
  ms: number,
  decide: (protocol: Protocol, seen: Buffer) => void,
): void {
  let seen: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer) => {
    seen = seen.byteLength === 0 ? chunk : Buffer.concat([seen, chunk]);
    const protocol = protocolOf(seen);
    if (protocol === null) return;
    settle();
    decide(protocol, seen);
  };
  const cancel = clock.after(ms, () => socket.end(late, () => socket.destroy()));
  const onEnd = () => socket.destroy();
  const settle = () => {
    cancel();
    socket.off('data', onData).off('end', onEnd).off('close', settle);
  };
  // Unheard, the reset of a connection would end the process.
  socket.on('error', () => undefined);
  socket.on('data', onData).on('end', onEnd).on('close', settle);
}
