import { hash, randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Stream } from 'node:http2';
import { Duplex } from 'node:stream';
import { readHead } from '../transport/answer-head.ts';
import type { ReadHead } from '../transport/answer-head.ts';
import { bodyOf } from '../transport/body.ts';
import type { Body } from '../transport/body.ts';
import { byName, headerOf, Malformed } from '../transport/fields.ts';

/** A request to change the protocol, as HTTP/1.1 has it. */
export interface Upgraded {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
}

/** What is of the connection, or of a handshake that HTTP/2 does not have (RFC 8441, section 5). */
const left: ReadonlySet<string> = new Set([
  ...['connection', 'upgrade', 'transfer-encoding', 'content-length', 'sec-websocket-key'],
]);

/** RFC 6455, section 1.3. */
const acceptOf = (key: string): string => hash('sha1', `${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`, 'base64');

/** Codes of RFC 9113, section 7: a stream that is over, and one that is given up, as a connection that was reset. */
const noError = 0x0;
const cancel = 0x8;

/**
 * A WebSocket that is asked for by HTTP/2 (RFC 8441) as the upgrade of a connection: whoever takes those takes this one, by the same
 * rules. What HTTP/2 leaves out of the handshake, the key and its proof, is made and looked at here. Null where it names two hosts.
 */
export function asUpgrade(req: Http2ServerRequest, res: Http2ServerResponse): Upgraded | null {
  const { headers: all } = req;
  const authority = all[':authority'];
  if (authority === undefined || (all.host !== undefined && all.host !== authority)) return null;
  const key = randomBytes(16).toString('base64');
  const kept = Object.entries(all).filter(([name]) => !name.startsWith(':') && !left.has(name));
  const headers: IncomingHttpHeaders = {
    ...Object.fromEntries(kept),
    ...{ host: authority, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': key },
  };
  const rawHeaders = Object.entries(headers).flatMap(([name, value = []]) =>
    [value].flat().flatMap((one) => [name, one]),
  );
  const socket = socketOf(res.stream, acceptOf(key), req);
  const asked = { method: 'GET', url: all[':path'], httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1 };
  Object.defineProperties(
    req,
    Object.fromEntries(Object.entries({ ...asked, headers, rawHeaders, socket }).map(([k, value]) => [k, { value }])),
  );
  return { req: req as unknown as IncomingMessage, socket };
}

/** The stream as a connection on which the answer to an upgrade is said in HTTP/1.1, and then whatever the two like. */
function socketOf(stream: ServerHttp2Stream, accept: string, { socket }: Http2ServerRequest): Duplex {
  const said = { read: 0, written: 0 };
  const answer = answerTo(stream, accept);
  const own = new Duplex({
    read: () => void stream.resume(),
    write(chunk: Buffer, _, done) {
      said.written += chunk.byteLength;
      answer.take(chunk, done);
    },
    final: (done) => answer.end(done),
    destroy(error, done) {
      // What was said to its end still arrives, however slowly it is read.
      if (!stream.closed) stream.close(stream.writableEnded ? noError : cancel);
      done(error);
    },
  });
  stream.on('data', (chunk: Buffer) => {
    said.read += chunk.byteLength;
    if (!own.push(chunk)) stream.pause();
  });
  stream.on('end', () => own.push(null));
  stream.on('error', () => own.destroy()).on('close', () => own.destroy());
  const { remoteAddress, localAddress } = socket;
  return Object.defineProperties(own, {
    ...{ remoteAddress: { value: remoteAddress }, localAddress: { value: localAddress } },
    ...('encrypted' in socket && { encrypted: { value: socket.encrypted } }),
    ...{ bytesRead: { get: () => said.read }, bytesWritten: { get: () => said.written } },
  });
}

type Done = (error?: Error | null) => void;

interface Answer {
  take(bytes: Buffer, done: Done): void;
  end(done: Done): void;
}

const emptyLine = '\r\n\r\n';

function answerTo(stream: ServerHttp2Stream, accept: string): Answer {
  let begun: Buffer | null = Buffer.alloc(0);
  /** Of an answer that is no WebSocket; null where the bytes are the WebSocket's, or nothing is to come. */
  let body: Body | null = null;
  const pass = (bytes: Buffer, done: Done) => {
    if (bytes.byteLength === 0) done();
    else stream.write(bytes, done);
  };
  const passBody = (of: Body, bytes: Buffer, done: Done) => {
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.byteLength && !of.isOver;) {
      at = of.take(bytes, at, (whole, from, to) => parts.push(whole.subarray(from, to)) > 0);
    }
    pass(Buffer.concat(parts), done);
    if (of.isOver) finish();
  };
  /** The answer is whole, and nothing that the client goes on to say has anybody to hear it. */
  const finish = () => {
    stream.end();
    stream.close(noError);
  };
  const begin = (head: ReadHead, rest: Buffer, done: Done) => {
    if (head.status === 101) {
      stream.respond({ ':status': 200, ...byName(shaken(head, accept)) });
      return pass(rest, done);
    }
    // By HTTP/1.1 that is a no; here it would be taken for a WebSocket (RFC 8441, section 5).
    if (head.status < 300) throw new Malformed('it answered without changing the protocol');
    body = bodyOf(head.framing);
    stream.respond({ ...byName(head.headers), ':status': head.status });
    if (body) return passBody(body, rest, done);
    finish();
    done();
  };
  const take = (bytes: Buffer, done: Done) => {
    if (body) return passBody(body, bytes, done);
    if (begun === null) return pass(bytes, done);
    begun = Buffer.concat([begun, bytes]);
    const end = begun.indexOf(emptyLine);
    if (end < 0) return done();
    const [text, rest] = [begun.toString('latin1', 0, end), begun.subarray(end + emptyLine.length)];
    begun = null;
    begin(readHead(text, 'GET'), rest, done);
  };
  return {
    take(bytes, done) {
      // Its client has reset it: that is told by the stream itself.
      if (stream.destroyed || stream.writableEnded) return done();
      try {
        take(bytes, done);
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        if (stream.headersSent) stream.close(cancel);
        else stream.respond({ ':status': 502, 'x-sutaz-source': 'gateway' });
        if (!stream.closed) finish();
        done();
      }
    },
    end(done) {
      if (stream.destroyed || stream.writableEnded) done();
      else stream.end(done);
    },
  };
}

/** The proof is for this key, or the service has answered something else: nobody but the door could see that here. */
function shaken({ headers }: ReadHead, accept: string): string[] {
  if (headerOf(headers, 'sec-websocket-accept') !== accept) throw new Malformed('it did not take the handshake');
  return headers.flatMap((name, i) =>
    i % 2 === 0 && name !== 'sec-websocket-accept' && name !== 'content-length' ? [name, headers[i + 1] as string] : [],
  );
}
