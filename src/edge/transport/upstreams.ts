import { Readable } from 'node:stream';
import { abortFault } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import type { TargetTls } from '#routing/policy';
import { Fault, systemCode } from '#kernel/faults';
import type { AnswerHead } from './answer-head.ts';
import type { Connection, Lent } from './connection.ts';
import { Malformed } from './fields.ts';
import type { CountedRest } from '../limits/usage-stream.ts';
import type { HeaderList } from './fields.ts';
import { createHttp2Upstreams, isHttp2 } from './http2.ts';
import { placeOf } from './place.ts';
import { createPool } from './pool.ts';
import type { Pool, PoolSettings } from './pool.ts';
import type { RequestFacts } from './request-head.ts';

export interface UpstreamRequest extends RequestFacts {
  readonly origin: string;
  readonly signal: AbortSignal;
  readonly tls?: TargetTls | undefined;
}

/** The rest of an answer, which somebody else may read in the place of this process (`../lending.ts`). */
export interface Rest {
  /** From then on nothing more comes here, and `done` or `failed` ends it; null where it cannot be left just now. */
  take(): Lent | null;
  /** It was read to its end. `keeps`: nothing came behind it. */
  done(keeps: boolean): void;
  failed(error: unknown): void;
  /** What is counted of it on its way, where something is. */
  readonly counted?: CountedRest;
}

/** Where an answer goes, piece by piece as it comes. */
export interface AnswerSink {
  head(head: AnswerHead): void;
  /** After the head, where somebody else could read the rest. */
  rest?: ((rest: Rest) => void) | undefined;
  /** False when the reader is behind: nothing more comes until `resume` is called; with an error the answer is broken off. */
  data(chunk: Buffer, resume: (error?: unknown) => void): boolean;
  /** What came behind the body, where the upstream speaks HTTP/2. */
  trailers?(headers: HeaderList): void;
}

export interface Upstreams {
  /**
   * Sends a request on and hands the answer over as it comes. Resolves when the answer is whole; rejects when the
   * upstream failed (UPSTREAM_FAILED) or the signal aborted, which closes the upstream's connection at once.
   */
  send(request: UpstreamRequest, sink: AnswerSink): Promise<void>;
  close(): Promise<void>;
}

export interface UpstreamsOptions {
  readonly clock: Clock;
  readonly settings?: () => PoolSettings;
}

/** Kept for less than the usual server does (5 s), so that no connection dies in our hands. */
const usual: PoolSettings = { connections: 1_024, keptMs: 4_000, connectMs: 10_000 };
/** Places that are remembered before those without a connection are forgotten: instances come and go on other ports. */
const mostPools = 64;

/**
 * A client of our own over sockets: what is measured in docs/performance.md decides (docs/decisions/0022-the-transport.md).
 * No answer has a time limit here: a model may think for minutes before its first byte, and the client's own patience is
 * what bounds that.
 */
export function createUpstreams({ clock, settings = () => usual }: UpstreamsOptions): Upstreams {
  const pools = new Map<string, Pool>();
  const http2 = createHttp2Upstreams(clock, settings);
  const poolOf = ({ origin, tls }: UpstreamRequest): Pool => {
    const name = tls ? `${origin} ${tls.id}` : origin;
    const known = pools.get(name);
    if (known) return known;
    if (pools.size >= mostPools) for (const [key, pool] of pools) if (pool.isUnused) pools.delete(key);
    const place = placeOf(origin);
    const pool = createPool(tls ? { ...place, tls } : place, clock, settings);
    pools.set(name, pool);
    return pool;
  };
  return {
    send: (request, sink) =>
      isHttp2(request.origin)
        ? http2.send(request, sink)
        : new Promise((resolve, reject) => exchange(request, sink, poolOf(request), { resolve, reject }, false)),
    async close() {
      await http2.close();
      for (const pool of pools.values()) pool.close();
      pools.clear();
    },
  };
}

/**
 * What may be asked again when a kept connection closed as the request went out. Nothing is known of what became of it
 * then, so that it must be one that changes nothing.
 */
const canRepeat = ({ method, body }: UpstreamRequest): boolean =>
  !(body instanceof Readable) && (method === 'GET' || method === 'HEAD' || method === 'OPTIONS');

interface Settle {
  resolve(): void;
  reject(error: unknown): void;
}

function exchange(request: UpstreamRequest, sink: AnswerSink, pool: Pool, settle: Settle, again: boolean): void {
  const { signal } = request;
  if (signal.aborted) return settle.reject(abortFault(signal));
  pool.take(signal, again, (connection) => carry(connection, request, sink, pool, settle), settle.reject);
}

function carry(connection: Connection, request: UpstreamRequest, sink: AnswerSink, pool: Pool, settle: Settle): void {
  const { signal, method, path, headers, body } = request;
  const isKept = connection.carried > 0;
  const leave = (error: unknown) => {
    signal.removeEventListener('abort', onAbort);
    connection.destroy();
    settle.reject(upstreamFault(error, signal));
  };
  const onAbort = () => leave(abortFault(signal));
  const resume = (error?: unknown) => (error === undefined ? connection.go() : leave(error));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    connection.send({
      method,
      path,
      headers,
      body,
      head(head) {
        sink.head(head);
        sink.rest?.({ take: connection.lend, done: connection.lentBack, failed: leave });
      },
      data: (bytes, from, to) => sink.data(copyOf(bytes, from, to), resume),
      done() {
        signal.removeEventListener('abort', onAbort);
        settle.resolve();
      },
      failed(error, untouched) {
        signal.removeEventListener('abort', onAbort);
        if (isKept && untouched && canRepeat(request)) return exchange(request, sink, pool, settle, true);
        settle.reject(upstreamFault(error, signal));
      },
    });
  } catch (error) {
    leave(error);
  }
}

function copyOf(bytes: Buffer, from: number, to: number): Buffer {
  const own = Buffer.allocUnsafe(to - from);
  bytes.copy(own, 0, from, to);
  return own;
}

function upstreamFault(error: unknown, signal: AbortSignal): Fault {
  if (error instanceof Fault) return error;
  if (signal.aborted) return abortFault(signal);
  if (error instanceof Malformed) {
    const message = `The service did not answer as HTTP/1.1 has it: ${error.message}.`;
    return new Fault('UPSTREAM_FAILED', message, { cause: error, retryAfter: 1 });
  }
  const what = error instanceof Error ? error.message || systemCode(error) || error.name : String(error);
  return new Fault('UPSTREAM_FAILED', `The service broke off or could not be reached: ${what}`, {
    cause: error,
    retryAfter: 1,
  });
}
