import type { IncomingMessage, ServerResponse } from 'node:http';
import { Fault, faults, toFault } from '#kernel/faults';
import { newTraceId } from '#kernel/ids';
import { isRecord } from '#kernel/json';
import type { Principal } from '#security/principal';
import { dialectOf } from './dialects.ts';
import type { Admission } from './limits/admission.ts';
import { chunkOf } from './frames.ts';
import { isGrpc, sendGrpcFault } from './protocols/grpc.ts';
import { clientOf, peerOf, trustsNobody } from './protocols/peer.ts';
import type { Peer } from './protocols/peer.ts';

/** One request and its answer, with what was found out about it. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly method: string;
  /** Decoded no further than the request line: `/services/chroma/api%2Fv2`. A route may put another one in its place. */
  path: string;
  readonly query: URLSearchParams;
  readonly traceId: string;
  readonly peer: Peer;
  /** The address it came from first, as far as a trusted proxy tells; null once the connection is gone. */
  readonly client: string | null;
  /** Aborts when the client leaves before its answer is whole. */
  readonly signal: AbortSignal;
  /** Aborts the signal for another reason than the client's leaving. */
  readonly abort: (why: Fault) => void;
  /** Milliseconds of the clock at which it came. */
  readonly since: number;
  /** Set once the caller is known. */
  principal: Principal | null;
  /** What limits let it take, until it is over; null where none is about it. */
  admission: Admission | null;
  /** The whole body, where a route has read it already. */
  gathered: Buffer | null;
  /** Set when a stream of server-sent events was begun: from then on an error is an event of it. */
  streaming: boolean;
  /** Set when an answer begins to go to the client: from then on nothing else may answer in its place. */
  answered: boolean;
  /** Whether a route changes the body of its answer. */
  rewritten: boolean;
  /** Whether the chunks of its answer are framed here and not by Node (`frames.ts`). */
  framed: boolean;
  /** Whether the key came in the Authorization header, which then must not be passed on. */
  keyInAuthorization: boolean;
  /** The same for `x-api-key`. */
  keyInApiKey: boolean;
}

/** The trace of W3C's `traceparent`, when the caller sends one; else a new one. */
export function traceOf(req: IncomingMessage): string {
  const match = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(header(req, 'traceparent') ?? '');
  return match?.[1] && !/^0+$/.test(match[1]) ? match[1] : newTraceId();
}

export function header(req: IncomingMessage, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

export function beginExchange(req: IncomingMessage, res: ServerResponse, now: number, trusts = trustsNobody): Exchange {
  const url = req.url ?? '/';
  const mark = url.indexOf('?');
  const peer = peerOf(req, trusts);
  const left = new AbortController();
  res.on('close', () => {
    if (!res.writableFinished) left.abort(new Fault('CANCELLED', 'The client left.'));
  });
  return {
    req,
    res,
    method: req.method ?? 'GET',
    path: mark < 0 ? url : url.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1)),
    traceId: traceOf(req),
    peer,
    client: clientOf(req, peer, trusts),
    signal: left.signal,
    abort: (why) => left.abort(why),
    since: now,
    principal: null,
    admission: null,
    gathered: null,
    streaming: false,
    answered: false,
    rewritten: false,
    framed: false,
    keyInAuthorization: false,
    keyInApiKey: false,
  };
}

export function sendJson(
  exchange: Exchange,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const { res } = exchange;
  const bytes = Buffer.from(JSON.stringify(body));
  res.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': bytes.byteLength,
    'x-sutaz-trace-id': exchange.traceId,
    ...headers,
  });
  res.end(bytes);
}

/** Answers with an error, in the shape of the API that was asked; ends a stream that has begun so that nobody takes it for whole. */
export function sendFault(exchange: Exchange, thrown: unknown): Fault {
  const fault = toFault(thrown);
  const { res, req, traceId, path } = exchange;
  if (isGrpc(req)) {
    sendGrpcFault(exchange, fault);
    return fault;
  }
  if (res.headersSent) {
    failStream(exchange, fault);
    return fault;
  }
  if (res.destroyed) return fault;
  const dialect = dialectOf(path);
  sendJson(exchange, faults[fault.code].status, dialect.body(fault, traceId), {
    'content-type': dialect.contentType,
    'x-sutaz-source': fault.source,
    ...faultHeaders(fault),
  });
  return fault;
}

/** What a status says in headers, whatever the body's shape. */
export function faultHeaders({ code, retryAfter, details }: Fault): Record<string, string> {
  return {
    ...(retryAfter === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfter)) }),
    ...(code === 'UNAUTHENTICATED' ? { 'www-authenticate': 'Bearer realm="sutaz"' } : {}),
    // RFC 9110, section 15.5.6: a 405 names what is allowed.
    ...(Array.isArray(details.allow) ? { allow: details.allow.join(', ') } : {}),
  };
}

/** METHOD_NOT_ALLOWED for an address that takes only these. */
export const onlyTakes = (path: string, allow: readonly string[]): Fault =>
  new Fault('METHOD_NOT_ALLOWED', `${path} takes ${allow.join(', ')}.`, { details: { allow } });

function failStream(exchange: Exchange, fault: Fault): void {
  const { res, traceId, path } = exchange;
  if (!exchange.streaming || res.writableEnded) return void res.destroy();
  const dialect = dialectOf(path);
  // Without a clean end, a client that ignores the event still sees that the stream broke off.
  const event = Buffer.from(dialect.inStream(dialect.body(fault, traceId)));
  res.write(exchange.framed ? chunkOf([event]) : event, () => res.destroy());
}

/** One segment of a path, decoded. */
export function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    throw new Fault('BAD_REQUEST', 'The address is not properly percent-encoded.', { cause: error });
  }
}

/** The whole body, at most `limit` bytes. By events: an iterator costs more than all else that is done with a small one. */
export function readBody(exchange: Exchange, limit: number): Promise<Buffer> {
  const { req, gathered } = exchange;
  if (gathered !== null) return Promise.resolve(gathered);
  const declared = Number(header(req, 'content-length') ?? 0);
  const tooLarge = () =>
    new Fault('TOO_LARGE', `The body has more than the ${limit} bytes that are allowed (limits.body).`, {
      details: { limitBytes: limit, ...(declared > 0 ? { bytes: declared } : {}) },
    });
  if (declared > limit) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (end: () => void) => {
      req.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      end();
    };
    const onData = (chunk: Buffer) => {
      size += chunk.byteLength;
      chunks.push(chunk);
      if (size > limit) settle(() => reject(tooLarge()));
    };
    const onEnd = () => settle(() => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
    const onClose = (cause?: unknown) =>
      settle(() => reject(new Fault('CANCELLED', 'The client left before its request was whole.', { cause })));
    req.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

/** A body that must be a JSON object. */
export function parseObject(body: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Fault('BAD_REQUEST', `The body is not valid JSON: ${why}`, { cause: error });
  }
  if (!isRecord(value)) throw new Fault('BAD_REQUEST', 'The body must be a JSON object.');
  return value;
}

/** Resolves when the client has caught up, or has left. */
export function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (res.destroyed) return resolve();
    const done = () => {
      res.off('drain', done).off('close', done);
      resolve();
    };
    res.on('drain', done).on('close', done);
  });
}
