import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { Readable } from 'node:stream';
import { abortFault } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { byName } from './fields.ts';
import type { HeaderList } from './fields.ts';
import type { PoolSettings } from './pool.ts';
import type { AnswerSink, UpstreamRequest, Upstreams } from './upstreams.ts';

/** Milliseconds for which a connection is kept on which nothing is asked. */
const keptMs = 30_000;
const cancelled = 0x8;
const refusedStream = 0x7;
const endOfStream = 0x1;

/** Whether an origin is one that is spoken to here: `h2c://127.0.0.1:6334`, or `h2://` for HTTP/2 over TLS. */
export const isHttp2 = (origin: string): boolean => origin.startsWith('h2c:') || origin.startsWith('h2:');

/** The origin of a place that speaks HTTP/2, by its address. */
export const http2Origin = (origin: string): string => origin.replace(/^https:/, 'h2:').replace(/^http:/, 'h2c:');

/**
 * Upstreams that speak HTTP/2 and were said to: one connection to each, kept while it is used. Node's own client, since
 * these are few, and calls of gRPC are long: what a request costs here is not what counts.
 */
export function createHttp2Upstreams(clock: Clock, settings: () => Pick<PoolSettings, 'connectMs'>): Upstreams {
  const sessions = new Map<string, ClientHttp2Session>();
  const sessionOf = ({ origin, tls }: UpstreamRequest): ClientHttp2Session => {
    const name = tls ? `${origin} ${tls.id}` : origin;
    const known = sessions.get(name);
    if (known && !known.closed && !known.destroyed) return known;
    const session = connectTo(origin, tls);
    giveUp(session, clock, settings().connectMs);
    session.once('close', () => sessions.get(name) === session && sessions.delete(name));
    sessions.set(name, session);
    return session;
  };
  return {
    async send(request, sink) {
      const watched = whetherAnswered(sink);
      try {
        await exchange(sessionOf(request), request, watched.sink);
      } catch (error) {
        // The server says that it did nothing with it (RFC 9113, section 8.7): on its way out, it asks to be asked anew.
        if (!(error instanceof Untouched) || watched.answered() || request.body instanceof Readable) throw error;
        await exchange(sessionOf(request), request, sink);
      }
    },
    async close() {
      for (const session of sessions.values()) session.destroy();
    },
  };
}

function connectTo(origin: string, tls: UpstreamRequest['tls']): ClientHttp2Session {
  const place = origin.replace(/^h2c:/, 'http:').replace(/^h2:/, 'https:');
  const session = process.getBuiltinModule('node:http2').connect(place, {
    settings: { enablePush: false },
    ...(tls?.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls?.serverName === undefined ? {} : { servername: tls.serverName }),
  });
  let streams = 0;
  // What went wrong is told to every request of it; unheard here it would end the process.
  session.on('error', () => undefined);
  session.setTimeout(keptMs, () => {
    if (streams === 0) session.close();
  });
  const request = session.request.bind(session);
  session.request = (...args) => {
    const stream = request(...args);
    streams++;
    stream.once('close', () => streams--);
    return stream;
  };
  return session;
}

/** Ends it, and all that is asked on it, when no connection came in time. */
function giveUp(session: ClientHttp2Session, clock: Clock, connectMs: number): void {
  const late = () => session.destroy(new Error(`it took no connection within ${connectMs / 1000} s`));
  const cancel = clock.after(connectMs, late);
  session.once('connect', cancel).once('close', cancel);
}

/** A request that the server is sure not to have looked at. */
class Untouched extends Fault {}

function whetherAnswered(sink: AnswerSink) {
  let answered = false;
  const watching: AnswerSink = {
    ...sink,
    head(head) {
      answered = true;
      sink.head(head);
    },
  };
  return { sink: watching, answered: () => answered };
}

function exchange(session: ClientHttp2Session, request: UpstreamRequest, sink: AnswerSink): Promise<void> {
  const { signal, body } = request;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(abortFault(signal));
    const stream = session.request(headersOf(request), { endStream: body === null });
    let ended = false;
    const leave = (error: unknown) => {
      signal.removeEventListener('abort', onAbort);
      if (body instanceof Readable) body.unpipe(stream);
      stream.close(cancelled);
      reject(upstreamFault(error, stream, signal));
    };
    const onAbort = () => leave(abortFault(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    receive(stream, sink, leave);
    stream.on('end', () => (ended = true));
    stream.on('error', leave);
    stream.on('close', () => {
      if (!ended || stream.rstCode !== 0) return leave(new Error(`the stream was reset (${stream.rstCode})`));
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    if (body instanceof Readable) body.pipe(stream);
    else if (body !== null) stream.end(body);
  });
}

function receive(stream: ClientHttp2Stream, sink: AnswerSink, fail: (error: unknown) => void): void {
  // A sink that throws must not do so into Node, where nobody would catch it.
  const attempt = (act: () => void) => {
    try {
      act();
    } catch (error) {
      fail(error);
    }
  };
  stream.on('response', (headers, flags) =>
    attempt(() => {
      const status = Number(headers[':status']);
      // An answer of nothing but headers: what gRPC calls trailers stays trailers, since ours has an end of its own.
      const alone = (flags & endOfStream) !== 0;
      const [own, late] = split(listOf(headers), (name) => alone && name.startsWith('grpc-'));
      sink.head({ status, headers: own, framing: { kind: alone ? 'none' : 'open' } });
      if (late.length > 0) sink.trailers?.(late);
    }),
  );
  stream.on('trailers', (headers) => attempt(() => sink.trailers?.(listOf(headers))));
  stream.on('data', (chunk: Buffer) =>
    attempt(() => {
      if (!sink.data(chunk, (error) => (error === undefined ? stream.resume() : fail(error)))) stream.pause();
    }),
  );
}

/** `te: trailers` is the one thing of a connection that HTTP/2 has, and servers of gRPC want to see it. */
function headersOf({ method, path, headers }: UpstreamRequest): OutgoingHttpHeaders {
  const { host, ...rest } = byName(headers);
  const pseudo = { ':method': method, ':path': path, ...(host === undefined ? {} : { ':authority': String(host) }) };
  return { ...pseudo, ...rest, te: 'trailers' };
}

function listOf(headers: IncomingHttpHeaders): string[] {
  const list: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':') || value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) list.push(name, one);
  }
  return list;
}

function split(list: HeaderList, isOther: (name: string) => boolean): [string[], string[]] {
  const [own, other]: [string[], string[]] = [[], []];
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string;
    (isOther(name) ? other : own).push(name, list[i + 1] as string);
  }
  return [own, other];
}

function upstreamFault(error: unknown, { rstCode }: ClientHttp2Stream, signal: AbortSignal): Fault {
  if (error instanceof Fault) return error;
  if (signal.aborted) return abortFault(signal);
  const what = error instanceof Error ? error.message : String(error);
  const Kind = rstCode === refusedStream ? Untouched : Fault;
  return new Kind('UPSTREAM_FAILED', `The service broke off or could not be reached: ${what}`, {
    cause: error,
    retryAfter: 1,
  });
}
