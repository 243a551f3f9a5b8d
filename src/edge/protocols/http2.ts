import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2Server, Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import { asHttp1 } from './compat.ts';
import { asUpgrade } from './extended-connect.ts';
import type { Upgraded } from './extended-connect.ts';

export interface Http2Limits {
  /** Requests under way on one connection. */
  readonly streams: number;
  /** Bytes of a request's headers, and how many they may be. */
  readonly headers: number;
  readonly headerCount: number;
  /** Bytes of an address. */
  readonly url: number;
  /** Milliseconds for which a connection is kept on which nothing is asked. */
  readonly keepAlive: number;
}

/** The connections that speak HTTP/2. */
export interface Sessions {
  /** Takes a connection over, whose first bytes may wait in it. */
  take(socket: Duplex): void;
  /** Tells every client to go elsewhere with what it asks next (GOAWAY). What is under way goes on; then it is closed. */
  drain(): void;
  close(): void;
}

export interface Handlers {
  request(req: IncomingMessage, res: ServerResponse): void;
  /** One that is to become a WebSocket. */
  upgrade(upgraded: Upgraded): void;
}

/** Resets that one connection may make at once and a second: a browser's page left in the middle makes some dozens. */
const resets = { streamResetBurst: 500, streamResetRate: 50 };

/**
 * Requests of HTTP/2 for the same handlers. The module is loaded with the first such connection: it is 7 MB that most
 * platforms never need. nghttp2 itself bounds what comes without a request: settings, pings, empty and continuation frames.
 */
export function createSessions(handlers: Handlers, limits: Http2Limits): Sessions {
  const sessions = new Set<ServerHttp2Session>();
  let server: Http2Server | undefined;
  let draining = false;
  const open = (): Http2Server => {
    const made = process.getBuiltinModule('node:http2').createServer({
      ...resets,
      settings: {
        maxConcurrentStreams: limits.streams,
        maxHeaderListSize: limits.headers + limits.url,
        enablePush: false,
        enableConnectProtocol: true,
      },
      // Twice what is allowed is still read, so that it can be told with a status; more is reset.
      maxHeaderListPairs: 2 * limits.headerCount + 16,
      maxSessionInvalidFrames: 50,
      maxSessionRejectedStreams: 100,
    });
    made.on('session', (session) => {
      sessions.add(session);
      session.on('close', () => sessions.delete(session));
      closeWhenIdle(session, limits.keepAlive);
      if (draining) session.close();
    });
    made.on('request', (req, res) => {
      const plain = asHttp1(req, res);
      if (plain) handlers.request(plain.req, plain.res);
      else res.writeHead(400, { 'content-length': 0 }).end();
    });
    made.on('connect', (req, res) => connected(req, res, handlers));
    return made;
  };
  return {
    take: (socket) => void (server ??= open()).emit('connection', socket),
    drain() {
      draining = true;
      for (const session of sessions) if (!session.closed) session.close();
    },
    close() {
      for (const session of sessions) session.destroy();
    },
  };
}

/** A tunnel to anywhere is not had here; what RFC 8441 makes of it, a WebSocket to a path, is. */
function connected(req: Http2ServerRequest, res: Http2ServerResponse, { upgrade }: Handlers): void {
  const protocol = req.headers[':protocol'];
  const upgraded = protocol === 'websocket' ? asUpgrade(req, res) : null;
  if (upgraded) return upgrade(upgraded);
  const status = protocol === undefined ? 405 : protocol === 'websocket' ? 400 : 501;
  res.writeHead(status, { 'content-length': 0 }).end();
}

/** A stream that waits, for a model that loads, is not idle. */
function closeWhenIdle(session: ServerHttp2Session, ms: number): void {
  let streams = 0;
  session.on('stream', (stream) => {
    streams++;
    stream.once('close', () => streams--);
  });
  session.setTimeout(ms, () => {
    if (streams === 0) session.close();
  });
}
