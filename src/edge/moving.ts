import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { nodeHttp } from '#kernel/node-http';
import { isOfTheWay, peerOf, trustsNobody, wayHeaders } from './protocols/peer.ts';
import type { Peer, Peers } from './protocols/peer.ts';

/** Where the door's new address listens. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/**
 * What becomes of requests while another process takes the door's place, and on connections that are still open here
 * afterwards: they wait until it listens, and then go on to it as they are. Their answers end the connection, so that the
 * client's next one is with the other process.
 */
export interface Moving {
  /** False when the request is to be served here. `serve` is called later where the move came to nothing. */
  takes(req: IncomingMessage, res: ServerResponse, serve: () => void): boolean;
  takesUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer, serve: () => void): boolean;
  /** Requests wait from now on. */
  begin(): void;
  /** They go there; null: they are served here after all. */
  end(place: Place | null): void;
}

const anybody: Peers = { trusts: trustsNobody, needsTls: () => false };

export function createMoving(peers = anybody): Moving {
  let moved: Promise<Place | null> | null = null;
  let settle: (place: Place | null) => void = () => undefined;
  return {
    takes(req, res, serve) {
      if (!moved) return false;
      const peer = peerOf(req, peers.trusts);
      if (peers.needsTls(peer)) return false;
      void moved.then((place) => {
        // Whoever left meanwhile has said so once: those who would begin now never heard it.
        if (res.destroyed) return;
        if (place) passOn(req, res, place, peer);
        else serve();
      });
      return true;
    },
    takesUpgrade(req, socket, head, serve) {
      if (!moved) return false;
      const peer = peerOf(req, peers.trusts);
      if (peers.needsTls(peer)) return false;
      // Unheard, the reset of a connection would end the process.
      socket.on('error', () => undefined);
      void moved.then((place) => {
        if (socket.destroyed) return;
        if (place) passUpgradeOn(req, socket, head, place, peer);
        else serve();
      });
      return true;
    },
    begin() {
      moved = new Promise((resolve) => (settle = resolve));
    },
    end(place) {
      settle(place);
      if (!place) moved = null;
    },
  };
}

/** Headers of one connection, in pairs: this one ends, and the other is a new one. */
const ofConnection = new Set(['connection', 'keep-alive', 'proxy-connection', 'expect']);

const isOfConnection = (name: string): boolean => ofConnection.has(name);

function without(raw: readonly string[], left: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [name = '', value = ''] = raw.slice(i, i + 2);
    if (!left(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}

/** Its word on the way counts there as far as it counted here, where this machine's own word is taken at all. */
const withWay = (req: IncomingMessage, raw: readonly string[], peer: Peer): string[] => [
  ...without(raw, isOfTheWay),
  ...wayHeaders(req, peer, ''),
];

/** Headers of HTTP/2 without those that begin with a colon, as HTTP/1.1 has them. */
const inPairs = (headers: IncomingHttpHeaders): string[] =>
  Object.entries(headers).flatMap(([name, value = []]) => [value].flat().flatMap((one) => [name, one]));

function passOn(req: IncomingMessage, res: ServerResponse, place: Place, peer: Peer): void {
  const raw = req.httpVersionMajor === 1 ? req.rawHeaders : inPairs(req.headers);
  const headers = [...without(withWay(req, raw, peer), isOfConnection), 'Connection', 'close'];
  const { method = 'GET', url = '/' } = req;
  const onward = nodeHttp.request({ ...place, method, path: url, headers, agent: false, setHost: false });
  res.once('close', () => onward.destroy());
  onward.once('response', (answer) => {
    const { statusCode = 502, headers: found } = answer;
    if (req.httpVersionMajor > 1) res.writeHead(statusCode, found);
    else res.writeHead(statusCode, [...without(answer.rawHeaders, isOfConnection), 'Connection', 'close']);
    // An answer that breaks off must not look like a whole one.
    pipeline(answer, res).catch(() => res.destroy());
  });
  onward.on('error', () => {
    if (res.headersSent) res.destroy();
    else res.writeHead(502, { connection: 'close', 'content-length': 0 }).end();
  });
  // Where the answer comes before the request is whole, the rest of that is of no use.
  pipeline(req, onward).catch(() => undefined);
}

function passUpgradeOn(req: IncomingMessage, socket: Duplex, head: Buffer, place: Place, peer: Peer): void {
  const onward = connect(place, () => {
    const lines = [`${req.method ?? 'GET'} ${req.url ?? '/'} HTTP/1.1`];
    const headers = withWay(req, req.rawHeaders, peer);
    for (let i = 0; i + 1 < headers.length; i += 2) lines.push(`${headers[i] ?? ''}: ${headers[i + 1] ?? ''}`);
    // Header values are bytes that Node reads as Latin-1.
    onward.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
    onward.write(head);
    pipeline(socket, onward, socket).catch(() => undefined);
  });
  const end = () => {
    onward.destroy();
    socket.destroy();
  };
  onward.on('error', end);
  onward.on('close', end);
  socket.on('error', end);
  socket.on('close', end);
}
