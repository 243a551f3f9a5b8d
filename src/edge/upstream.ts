import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { Pool } from 'undici';
import type { Dispatcher } from 'undici';
import { abortFault } from '#kernel/abort';
import { Fault } from '#kernel/faults';

export interface UpstreamRequest {
  readonly origin: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string | string[]>;
  readonly body: Buffer | Readable | null;
  readonly signal: AbortSignal;
}

/** Where an answer goes, piece by piece as it comes. */
export interface AnswerSink {
  head(status: number, headers: IncomingHttpHeaders): void;
  /** False when the reader is behind: nothing more comes until `resume` is called. */
  data(chunk: Buffer, resume: () => void): boolean;
}

export interface Upstreams {
  /**
   * Sends a request on and hands the answer over as it comes. Resolves when the answer is whole; rejects when the
   * upstream failed (UPSTREAM_FAILED) or the signal aborted, which closes the upstream's connection at once.
   */
  send(request: UpstreamRequest, sink: AnswerSink): Promise<void>;
  close(): Promise<void>;
}

/** How many upstreams keep connections. Instances come and go with new ports; the least lately used one goes first. */
const mostPools = 128;

export function createUpstreams(): Upstreams {
  const pools = new Map<string, Pool>();
  const poolOf = (origin: string): Pool => {
    let pool = pools.get(origin);
    if (pool) pools.delete(origin);
    // Services answer when they can: a model may think for minutes before its first byte, and the client's own patience
    // is what bounds that. Idle sockets are given up before the usual server (5 s) does, so that none dies in our hands.
    else pool = new Pool(origin, { connections: null, headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: 4_000 });
    pools.set(origin, pool);
    for (const [oldest, idle] of pools) {
      if (pools.size <= mostPools) break;
      pools.delete(oldest);
      void idle.close();
    }
    return pool;
  };
  return {
    send: (request, sink) => dispatch(poolOf(request.origin), request, sink),
    async close() {
      const all = [...pools.values()];
      pools.clear();
      await Promise.all(all.map((pool) => pool.destroy()));
    },
  };
}

function dispatch(pool: Pool, request: UpstreamRequest, sink: AnswerSink): Promise<void> {
  const { signal } = request;
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    const onAbort = () => {
      if (controller) controller.abort(abortFault(signal));
      else settle(() => reject(abortFault(signal)));
    };
    const settle = (end: () => void) => {
      signal.removeEventListener('abort', onAbort);
      end();
    };
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(started) {
        controller = started;
        if (signal.aborted) started.abort(abortFault(signal));
      },
      onResponseStart(_controller, status, headers) {
        if (status >= 200) sink.head(status, headers);
      },
      onResponseData(current, chunk) {
        if (!sink.data(chunk, () => current.resume())) current.pause();
      },
      onResponseEnd: () => settle(resolve),
      onResponseError: (_controller, error) => settle(() => reject(upstreamFault(error, signal))),
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const { origin, method, path, headers, body } = request;
    pool.dispatch({ origin, method: method as Dispatcher.HttpMethod, path, headers, body }, handler);
  });
}

function upstreamFault(error: Error, signal: AbortSignal): Fault {
  if (error instanceof Fault) return error;
  if (signal.aborted) return abortFault(signal);
  const message = `The service broke off or could not be reached: ${error.message || error.name}`;
  return new Fault('UPSTREAM_FAILED', message, { cause: error, retryAfter: 1 });
}
