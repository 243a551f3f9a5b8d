import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http';
import { Readable } from 'node:stream';
import { abortFault } from '#kernel/abort';
import { Fault, systemCode } from '#kernel/faults';
import { nodeHttp } from '#kernel/node-http';

export interface UpstreamRequest {
  readonly origin: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer | Readable | null;
  readonly signal: AbortSignal;
}

/** Where an answer goes, piece by piece as it comes. */
export interface AnswerSink {
  head(status: number, headers: IncomingHttpHeaders): void;
  /** False when the reader is behind: nothing more comes until `resume` is called; with an error the answer is broken off. */
  data(chunk: Buffer, resume: (error?: unknown) => void): boolean;
}

export interface Upstreams {
  /**
   * Sends a request on and hands the answer over as it comes. Resolves when the answer is whole; rejects when the
   * upstream failed (UPSTREAM_FAILED) or the signal aborted, which closes the upstream's connection at once.
   */
  send(request: UpstreamRequest, sink: AnswerSink): Promise<void>;
  close(): Promise<void>;
}

/** Milliseconds for which an unused connection is kept: less than the usual server does (5 s), so that none dies in our hands. */
const keptMs = 4_000;

type Ask = (options: RequestOptions) => ClientRequest;

/**
 * Node's own client, and not a library: the door has it in memory for its listener already, and it hands headers over byte
 * for byte. No answer has a time limit: a model may think for minutes before its first byte, and the client's own patience
 * is what bounds that.
 */
export function createUpstreams(): Upstreams {
  const agents: Agent[] = [];
  const client = (module: Pick<typeof nodeHttp, 'Agent' | 'request'>): Ask => {
    const agent = new module.Agent({ keepAlive: true, timeout: keptMs });
    agents.push(agent);
    return (options) => module.request({ ...options, agent });
  };
  const plain = client(nodeHttp);
  let secure: Ask | undefined;
  return {
    send(request, sink) {
      const place = placeOf(request.origin);
      // Only for what runs elsewhere: most platforms never need it.
      const ask = place.secure ? (secure ??= client(process.getBuiltinModule('node:https'))) : plain;
      const { method, path } = request;
      const once = () => exchange(ask({ ...place, method, path, headers: framed(request) }), request, sink);
      return once().catch((error: unknown) => {
        if (error instanceof Stale && canRepeat(request)) return once();
        throw error;
      });
    },
    async close() {
      for (const agent of agents) agent.destroy();
    },
  };
}

/** Where an origin is: `http://[::1]:41234`. */
export function placeOf(origin: string): { readonly host: string; readonly port: number; readonly secure: boolean } {
  const { hostname, port, protocol } = new URL(origin);
  const secure = protocol === 'https:';
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) || (secure ? 443 : 80), secure };
}

/** Says how long the body is, or that it comes in chunks: a GET with a body has neither unless told. */
function framed({ headers, body }: UpstreamRequest): Record<string, string | string[]> {
  if (body === null || 'content-length' in headers) return headers;
  return { ...headers, 'transfer-encoding': 'chunked' };
}

/** A kept connection that the service closed as the request went out: nothing is known of what became of it. */
class Stale extends Fault {}

const canRepeat = ({ method, body, signal }: UpstreamRequest): boolean =>
  !signal.aborted && !(body instanceof Readable) && ['GET', 'HEAD', 'OPTIONS'].includes(method);

function exchange(req: ClientRequest, { body, signal }: UpstreamRequest, sink: AnswerSink): Promise<void> {
  return new Promise((resolve, reject) => {
    let answered = false;
    const onAbort = () => fail(abortFault(signal));
    const finish = () => {
      signal.removeEventListener('abort', onAbort);
      if (body instanceof Readable) body.unpipe(req);
    };
    const fail = (error: unknown) => {
      finish();
      req.destroy();
      reject(upstreamFault(error, signal, req.reusedSocket && !answered));
    };
    req.on('error', fail);
    req.on('response', (res) => {
      answered = true;
      // It refused before it had read everything: the rest is of no use to it.
      if (body instanceof Readable && (res.statusCode ?? 0) >= 400) body.unpipe(req);
      receive(res, sink, fail, () => {
        finish();
        // One whose request was never whole cannot carry another.
        if (!req.writableFinished) req.destroy();
        resolve();
      });
    });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else if (body instanceof Readable) body.pipe(req);
    else req.end(body ?? undefined);
  });
}

function receive(res: IncomingMessage, sink: AnswerSink, fail: (error: unknown) => void, done: () => void): void {
  // A sink that throws must not do so into Node's parser, where nobody would catch it.
  const attempt = (act: () => void) => {
    try {
      act();
    } catch (error) {
      fail(error);
    }
  };
  res.on('error', fail);
  res.on('data', (chunk: Buffer) =>
    attempt(() => {
      if (!sink.data(chunk, (error) => (error === undefined ? res.resume() : fail(error)))) res.pause();
    }),
  );
  res.on('end', done);
  attempt(() => sink.head(res.statusCode ?? 502, res.headers));
}

function upstreamFault(error: unknown, signal: AbortSignal, stale: boolean): Fault {
  if (error instanceof Fault) return error;
  if (signal.aborted) return abortFault(signal);
  const what = error instanceof Error ? error.message || systemCode(error) || error.name : String(error);
  const Kind = stale ? Stale : Fault;
  return new Kind('UPSTREAM_FAILED', `The service broke off or could not be reached: ${what}`, {
    cause: error,
    retryAfter: 1,
  });
}
