import type { Clock } from '#kernel/clock';
import { Fault, toFault } from '#kernel/faults';
import type { UnitId, WaiterId } from '#kernel/ids';
import type { Line } from '#routing/lines';
import type { Awake, Waker } from '#routing/wake';
import type { AnswerCache } from './cache/answers.ts';
import type { Exchange } from './exchange.ts';
import { canFrame, takeFraming } from './frames.ts';
import { bareHeaders, hasBody, requestHeaders, responseHeaders, serverTiming } from './headers.ts';
import { keepAwakeComments } from './comments.ts';
import { isIdempotent, withTries } from './attempts.ts';
import type { Asked, Attempt } from './attempts.ts';
import { hashKeyOf } from './hash-key.ts';
import { lend } from './lending.ts';
import type { Lending } from './lending.ts';
import type { Limiter } from './limits/limiter.ts';
import { mirror } from './mirror.ts';
import { outgoingOf } from './outgoing.ts';
import type { AnswerHead } from './transport/answer-head.ts';
import { byName, headerOf } from './transport/fields.ts';
import type { AnswerSink, UpstreamRequest, Upstreams } from './transport/upstreams.ts';
import type { RelayPlaces } from './workers/workers.ts';

export interface ForwardDeps {
  readonly waker: Waker;
  readonly upstreams: Upstreams;
  readonly clock: Clock;
  readonly limiter: Limiter;
  readonly answers: AnswerCache;
  /** Milliseconds a plain caller is held before it is told to come back. */
  readonly holdMs: () => number;
  /** Who passes on the rest of long answers; null where this process does. */
  readonly relays?: RelayPlaces | null;
}

export interface Onward {
  readonly unit: UnitId;
  /** Path and query at the upstream. */
  readonly path: string;
  /** The part of the client's path that stands for the service. */
  readonly prefix: string;
  readonly body: Buffer | null;
  /** Whether the caller expects server-sent events, so that it can be told of a wake. */
  readonly stream: boolean;
  /** Whether it has no effect beside its answer, whatever its method says: an engine may be asked twice. */
  readonly pure?: boolean;
  /** Something else answers when this fails: a failure is thrown, and not passed on. */
  readonly more?: boolean;
  /** Whether it leaves this machine's care: nothing goes along that says more of the client than its question. */
  readonly afar?: boolean;
}

/**
 * Wakes a unit for a request and sends it on:
 * 1. a streaming caller waits as long as it likes and is told of the wake by comments;
 * 2. a plain caller is held up to the hold limit, then told to come back, while the wake goes on;
 * 3. the answer is passed through as it comes; the lease is given back when it is whole or broken off, and that of a
 *    stream of events while nothing comes, where the unit allows it (`lines.ts`).
 */
export function forward(exchange: Exchange, onward: Onward, deps: ForwardDeps): Promise<void> {
  mirror(exchange, onward, deps);
  return withTries(exchange, askedOf(exchange, onward, deps), deps, (attempt) => {
    const wake = onward.stream ? wakeStreaming : wakePlain;
    const pass = (awake: Awake) => passThrough(exchange, onward, awake, attempt, deps);
    const waking = wake(exchange, onward, deps, attempt);
    return waking instanceof Promise ? waking.then(pass) : pass(waking);
  });
}

export function askedOf(exchange: Exchange, { unit, body, pure, more = false }: Onward, { waker }: ForwardDeps): Asked {
  const { method, req } = exchange;
  const { policy, endpoints } = waker.picker(unit);
  // What an engine here was ended by may well end it again; elsewhere one of many asks.
  const idempotent = (pure === true && endpoints.length > 0) || isIdempotent(method);
  return {
    unit,
    more,
    idempotent,
    read: (method === 'GET' || method === 'HEAD') && !hasBody(req.headers),
    repeatable: body !== null || !hasBody(req.headers),
    key: hashKeyOf(exchange, body, policy),
  };
}

/** Gives the place back when the work is over, and says so where the service broke off. */
export function serving<T>(awake: Awake, work: () => Promise<T>): Promise<T> {
  return untilOver(work, (broken) => awake.release(broken));
}

/** Does the work, and then tells whether the service broke it off. */
export async function untilOver<T>(work: () => Promise<T>, over: (broken: boolean) => void): Promise<T> {
  let broken = false;
  try {
    return await work();
  } catch (error) {
    broken = toFault(error).code === 'UPSTREAM_FAILED';
    throw error;
  } finally {
    over(broken);
  }
}

function wakeStreaming(
  exchange: Exchange,
  { unit }: Onward,
  { waker, clock }: ForwardDeps,
  { choice }: Attempt,
): Awake | Promise<Awake> {
  let waiter: WaiterId | undefined;
  const onQueued = (id: WaiterId) => void (waiter = id);
  const waking = waker.wake(unit, { ...callerOf(exchange), signal: exchange.signal, onQueued, choice });
  if (!(waking instanceof Promise)) return waking;
  const comments = keepAwakeComments(exchange, clock, () => waker.progress(unit, waiter));
  return waking.finally(() => comments.stop());
}

export function wakePlain(
  exchange: Exchange,
  { unit }: { readonly unit: UnitId },
  { waker, clock, holdMs }: ForwardDeps,
  asked: Pick<Attempt, 'choice'> | null = null,
): Awake | Promise<Awake> {
  const caller = callerOf(exchange);
  const hold = new AbortController();
  const waking = waker.wake(unit, { ...caller, signal: hold.signal, ...(asked && { choice: asked.choice }) });
  // Most have their place by now: nothing is to be watched then.
  if (!(waking instanceof Promise)) return waking;
  const clear = holdUntil(hold, exchange.signal, clock, holdMs(), () => {
    // Before this caller leaves: else the start is called off for want of anyone who waits.
    waker.linger(unit, caller.principal, comebackMs);
    return stillWaking(unit, waker);
  });
  return waking.finally(clear);
}

/** Aborts the hold when the client leaves, or with what `onLate` returns when the time is up. Returns what ends that. */
function holdUntil(hold: AbortController, client: AbortSignal, clock: Clock, ms: number, onLate: () => Fault) {
  const onLeave = () => hold.abort(client.reason);
  if (client.aborted) onLeave();
  client.addEventListener('abort', onLeave, { once: true });
  const cancel = clock.after(ms, () => hold.abort(onLate()));
  return () => {
    cancel();
    client.removeEventListener('abort', onLeave);
  };
}

/** How long a wake goes on for a caller who was told to come back. */
const comebackMs = 60_000;

function stillWaking(unit: UnitId, waker: Waker): Fault {
  const progress = waker.progress(unit);
  const seconds = Math.max(1, Math.ceil((progress.estimateMs ?? 5_000) / 1000));
  return new Fault('WAKING', `${unit} is still waking (${progress.phase}): ask again.`, {
    retryAfter: seconds,
    details: { unit, progress },
  });
}

export const callerOf = (exchange: Exchange) =>
  ({ principal: exchange.principal?.id ?? 'anonymous', class: 'interactive' }) as const;

/** Sends it to whom is awake for it, and gives the place back when its answer has come or is broken off. */
function passThrough(
  exchange: Exchange,
  onward: Onward,
  awake: Awake,
  attempt: Attempt,
  deps: ForwardDeps,
): Promise<void> {
  const { req } = exchange;
  attempt.at(awake.placed);
  const sink = answerTo(exchange, onward, awake, attempt, deps);
  const send = async () => {
    try {
      await deps.upstreams.send(requestTo(exchange, onward, awake, attempt), sink);
    } finally {
      if (sink.lending?.over) await sink.lending.over;
    }
    sink.end();
    // It answered before it had read everything: what the client goes on sending is in the way of its next request.
    if (!req.complete) req.resume();
  };
  return untilOver(send, (broken) => {
    sink.close(broken);
    awake.release(broken);
  });
}

function requestTo(exchange: Exchange, onward: Onward, { target }: Awake, { signal }: Attempt): UpstreamRequest {
  const { req } = exchange;
  return {
    origin: target.origin,
    method: exchange.method,
    path: target.basePath + onward.path,
    headers: headersTo(exchange, onward, target.key),
    body: onward.body ?? (hasBody(req.headers) ? req : null),
    signal,
    tls: target.tls,
  };
}

const headersTo = (exchange: Exchange, { prefix, afar }: Onward, key: string | null): string[] =>
  afar === true ? bareHeaders(exchange, key) : requestHeaders(exchange, { prefix, key });

/** What passes an answer on to the client, as it comes. */
interface Passing extends AnswerSink {
  /** Set where a worker may pass on the rest of it. */
  lending: Lending | null;
  /** It is whole. */
  end(): void;
  /** It is over, whole or not. */
  close(broken: boolean): void;
}

function answerTo(exchange: Exchange, onward: Onward, awake: Awake, attempt: Attempt, deps: ForwardDeps): Passing {
  const { res } = exchange;
  const { clock, waker, relays = null } = deps;
  const sent = clock.now();
  let line: Line | null = null;
  let late: Late | null = null;
  /** Bytes that are still to come, where the answer says how many. */
  let left = NaN;
  let out = outgoingOf(exchange);
  const pass = (chunk: Buffer, resume: () => void): boolean => {
    left -= chunk.byteLength;
    // Head and body leave in one piece where the body came in one.
    if (left === 0) out.end(chunk);
    else if (!out.write(chunk, () => goOn(resume))) {
      attempt.held();
      return false;
    }
    sink.lending?.passed();
    return true;
  };
  const goOn = (resume: () => void): void => {
    attempt.data();
    // What came in this turn is before what a worker will write.
    if (sink.lending) out.letGo();
    if (!sink.lending?.drained()) resume();
  };
  const sink: Passing = {
    lending: null,
    head(answer) {
      attempt.head(answer.status, (name) => headerOf(answer.headers, name));
      const isStream = headerOf(answer.headers, 'content-type')?.startsWith('text/event-stream') === true;
      if (isStream) line = waker.line(onward.unit, awake, callerOf(exchange));
      if (res.headersSent) {
        if (answer.status >= 400 || !isStream) late = { status: answer.status, chunks: [], bytes: 0 };
        // Comments began it, each of them framed by Node.
        else if (canFrame(exchange) && res.chunkedEncoding) takeFraming(exchange);
        out = outgoingOf(exchange);
        return;
      }
      exchange.streaming = isStream;
      if (answer.framing.kind === 'length') left = answer.framing.bytes;
      writeHead(exchange, answer, onward.prefix, awake, clock.now() - sent);
      out = outgoingOf(exchange);
      // Not at once: the first event may have come along, and leaves in one piece with the head.
      if (isStream) out.begin();
    },
    // A silent connection gives its lease back: every piece of its answer is asked about here.
    rest: relays
      ? (rest) => {
          if (!line && !late) sink.lending = lend({ exchange, attempt, rest, places: relays, left: () => left });
        }
      : undefined,
    data(chunk, resume) {
      attempt.data();
      if (late) return gather(late, chunk);
      const waking = line?.said() ?? null;
      if (waking === null) return pass(chunk, resume);
      // An instance that was about to be frozen, or that was thawed for somebody else, had something to say.
      waking.then(() => pass(chunk, resume) && resume(), resume);
      return false;
    },
    end() {
      if (late) endLate(exchange, late);
      else out.end();
    },
    trailers: (headers) => res.addTrailers(byName(headers) as Record<string, string>),
    close(broken) {
      line?.close(broken);
      // It breaks off, and what is held would go with its connection.
      if (!res.writableEnded) out.letGo();
    },
  };
  return sink;
}

function writeHead(exchange: Exchange, answer: AnswerHead, prefix: string, awake: Awake, upstreamMs: number): void {
  const { res } = exchange;
  const back = responseHeaders(answer.headers, exchange, prefix, awake.target.origin);
  back.push('server-timing', serverTiming(awake.queueMs, awake.wakeMs, upstreamMs));
  if (answer.status >= 400) back.push('x-sutaz-source', 'upstream');
  // What ends with its connection comes by HTTP/2, perhaps, and then its trailers are Node's to send.
  const isOurs = answer.framing.kind === 'chunked' && canFrame(exchange);
  if (!isOurs) return void res.writeHead(answer.status, back);
  res.writeHead(answer.status, [...back, 'transfer-encoding', 'chunked']);
  takeFraming(exchange);
}

/** An answer that is no stream, after a stream was begun by comments: it can only be told as one event of it. */
export interface Late {
  readonly status: number;
  readonly chunks: Buffer[];
  bytes: number;
}

/** Bytes of a late answer that are held to be put into one event. */
const mostLate = 16 * 2 ** 20;

export function gather(late: Late, chunk: Buffer): true {
  late.bytes += chunk.byteLength;
  if (late.bytes > mostLate) throw new Fault('UPSTREAM_FAILED', 'Its answer is too large for one event of a stream.');
  late.chunks.push(chunk);
  return true;
}

export function endLate({ res }: Exchange, { status, chunks }: Late): void {
  const text = oneLine(Buffer.concat(chunks).toString('utf8'));
  const data = text || (status >= 400 ? JSON.stringify({ error: { message: `status ${status}` } }) : '');
  res.end(data ? `data: ${data}\n\n` : undefined);
}

const oneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, ' ').trim();
