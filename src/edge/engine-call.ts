import type { OutgoingHttpHeaders } from 'node:http';
import { Fault } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import { createSseParser } from '#kernel/sse';
import type { Awake } from '#routing/wake';
import { takeKept } from './cache/to-sink.ts';
import { keepAwake, openStream } from './comments.ts';
import type { Exchange } from './exchange.ts';
import { withTries } from './attempts.ts';
import type { Attempt } from './attempts.ts';
import { callerOf, serving, wakePlain } from './forward.ts';
import { hashKeyOf } from './hash-key.ts';
import type { ForwardDeps } from './forward.ts';
import { timingHeader, traceparentOf } from './headers.ts';
import { metered } from './limits/metered.ts';
import type { ModelChoice } from './models.ts';
import { inOrder } from './models.ts';
import { parsed, refusalOf } from './refusal.ts';
import { headerOf } from './transport/fields.ts';
import type { HeaderList } from './transport/fields.ts';

/** A request to a model's engine in OpenAI's API, made of one in another. */
export interface EngineCall {
  /** Tried in this order when one cannot be brought up. */
  readonly choices: readonly ModelChoice[];
  readonly path: string;
  /** Throws what may not be asked of this model: it is not woken for that. */
  readonly body: (choice: ModelChoice) => Readonly<Record<string, unknown>>;
  /** Once it is awake for this. */
  readonly onAwake?: (choice: ModelChoice) => void;
  /** What the client calls those parameters that have another name in OpenAI's API: refusals are told by it. */
  readonly names?: Readonly<Record<string, string>>;
}

/** Milliseconds. */
export interface CallTiming {
  readonly queueMs: number;
  readonly wakeMs: number;
  /** From the request's going to the engine to the first of its answer, and to the last. */
  readonly firstMs: number;
  readonly totalMs: number;
}

export interface EngineAnswer {
  readonly answer: Readonly<Record<string, unknown>>;
  readonly timing: CallTiming;
  readonly choice: ModelChoice;
}

/** Asks for an answer in one piece. Throws what the engine refused it with, as a Fault. */
export function askWhole(exchange: Exchange, call: EngineCall, deps: ForwardDeps): Promise<EngineAnswer> {
  return attempt(exchange, call, null, deps, async (choice, send) => {
    const answer = createBody();
    const timing = await send({ head: () => true, data: (chunk) => answer.add(chunk), refusal: answer });
    return { answer: answer.json(), timing, choice };
  });
}

/** What becomes of a stream of chunks. */
export interface ChunkTaker {
  /** How it goes on to the client; null when it is gathered here, and the client gets no stream. */
  readonly contentType: string | null;
  /** What the client is told each second while the unit wakes; null where its API knows nothing that means nothing. */
  readonly waiting: string | null;
  /** What the client gets for a chunk, perhaps nothing. */
  chunk(object: Readonly<Record<string, unknown>>): string;
}

/** Asks for a stream, and hands each chunk on as it comes. A reader that is slow slows the engine. The end is the caller's. */
export function askChunks(
  exchange: Exchange,
  call: EngineCall,
  taker: ChunkTaker,
  deps: ForwardDeps,
): Promise<Omit<EngineAnswer, 'answer'>> {
  const waiting = taker.contentType === null ? null : taker.waiting;
  return attempt(exchange, call, waiting, deps, async (choice, send) => ({
    timing: await takeChunks(exchange, taker, send),
    choice,
  }));
}

/** What goes to an engine. */
interface Question {
  readonly path: string;
  readonly body: Buffer;
}

/** An engine that is awake for one try of a call. */
interface There {
  readonly awake: Awake;
  readonly one: Attempt;
}

/** Sends the question, to the engine or to where its answer is kept, and hands the answer to the sink. */
type SendTo = (sink: Sink) => Promise<CallTiming>;

/** Asks one model after the other. What it refuses is told in the client's own words. */
async function attempt<T>(
  exchange: Exchange,
  call: EngineCall,
  waiting: string | null,
  deps: ForwardDeps,
  take: (choice: ModelChoice, send: SendTo) => Promise<T>,
): Promise<T> {
  const { choices, path, body, names = {} } = call;
  try {
    return await inOrder(exchange, choices, (choice, more) => {
      const asking = body(choice);
      const question = { path, body: Buffer.from(JSON.stringify(asking)) };
      deps.limiter.admitModel(exchange, choice, asking, question.body.byteLength);
      const kept = deps.answers.begin(exchange, { model: choice.id, path, question: asking, more });
      if (kept) {
        const onward = { ...question, unit: choice.unit, prefix: '', stream: waiting !== null, pure: true, more };
        const onHead = () => call.onAwake?.(choice);
        return take(choice, (sink) => takeKept(kept, exchange, { onward, waiting, onHead, sink }, deps));
      }
      const { endpoints, policy } = deps.waker.picker(choice.unit);
      const key = hashKeyOf(exchange, question.body, policy);
      const asked = { unit: choice.unit, repeatable: true, idempotent: endpoints.length > 0, key, more };
      return withTries(exchange, asked, deps, async (one) => {
        const awake = await wakeFor(exchange, choice, waiting, deps, one);
        one.at(awake.placed);
        return serving(awake, () => {
          call.onAwake?.(choice);
          return take(choice, (sink) => send(exchange, question, { awake, one }, deps, sink));
        });
      });
    });
  } catch (error) {
    throw inWordsOf(names, error);
  }
}

function inWordsOf(names: Readonly<Record<string, string>>, error: unknown): unknown {
  if (!(error instanceof Fault) || error.param === undefined || !Object.hasOwn(names, error.param)) return error;
  const { code, message, param, retryAfter, details, source } = error;
  const own = names[param] as string;
  const options = { cause: error, param: own, details, source, ...(retryAfter === undefined ? {} : { retryAfter }) };
  return new Fault(code, message.replace(param, own), options);
}

async function wakeFor(
  exchange: Exchange,
  choice: ModelChoice,
  waiting: string | null,
  deps: ForwardDeps,
  one: Attempt,
): Promise<Awake> {
  if (waiting === null) return wakePlain(exchange, choice, deps, one);
  const comments = keepAwake(exchange, deps.clock, () => waiting);
  try {
    const caller = { ...callerOf(exchange), signal: exchange.signal, onQueued: comments.onQueued };
    return await deps.waker.wake(choice.unit, { ...caller, choice: one.choice });
  } finally {
    comments.stop();
  }
}

async function takeChunks(exchange: Exchange, taker: ChunkTaker, send: SendTo): Promise<CallTiming> {
  const { res } = exchange;
  const parser = createSseParser();
  let done = false;
  const textOf = (data: string): string => {
    if (data === '[DONE]') {
      done = true;
      return '';
    }
    return taker.chunk(readChunk(data));
  };
  const timing = await send({
    head(headers, timing) {
      if (headerOf(headers, 'content-type')?.startsWith('text/event-stream') !== true) return false;
      if (taker.contentType !== null && !res.headersSent) openStream(exchange, taker.contentType, timing);
      return true;
    },
    data(chunk, resume) {
      const text = parser
        .push(chunk)
        .map((item) => (item.kind === 'event' ? textOf(item.data) : ''))
        .join('');
      if (taker.contentType === null || text === '' || res.write(text)) return true;
      res.once('drain', resume);
      return false;
    },
    refusal: createBody(),
  });
  if (!done) throw new Fault('UPSTREAM_FAILED', 'The engine broke off its answer.', { retryAfter: 1 });
  return timing;
}

/** Where an answer goes that is to be translated. */
export interface Sink {
  /** False when an answer of this kind is none that was asked for. */
  head(headers: HeaderList, timing: OutgoingHttpHeaders): boolean;
  data(chunk: Buffer, resume: () => void): boolean;
  /** Where an answer that is none goes. */
  readonly refusal: Body;
}

async function send(
  exchange: Exchange,
  { path, body }: Question,
  { awake: { target, queueMs, wakeMs }, one }: There,
  { upstreams, clock }: ForwardDeps,
  sink: Sink,
): Promise<CallTiming> {
  const sent = clock.now();
  let first: number | undefined;
  let refused: number | null = null;
  // The client's own headers are of another API: only what is said here goes on.
  const headers = ['content-type', 'application/json', 'traceparent', traceparentOf(exchange)];
  if (target.key !== null) headers.push('authorization', `Bearer ${target.key}`);
  const request = {
    ...{ origin: target.origin, method: 'POST', path: target.basePath + path, headers, body },
    signal: one.signal,
    tls: target.tls,
  };
  await metered(exchange, upstreams).send(request, {
    head({ status, headers: answer }) {
      one.head(status, (name) => headerOf(answer, name));
      const timing = timingHeader({ queueMs, wakeMs, totalMs: clock.now() - sent });
      if (status >= 300 || !sink.head(answer, timing)) refused = status;
    },
    data(chunk, resume) {
      first ??= clock.now();
      one.data();
      if (refused !== null) return sink.refusal.add(chunk);
      const goesOn = sink.data(chunk, () => (one.data(), resume()));
      if (!goesOn) one.held();
      return goesOn;
    },
  });
  if (refused !== null) throw refusalOf(refused, sink.refusal.text());
  return { queueMs, wakeMs, firstMs: (first ?? clock.now()) - sent, totalMs: clock.now() - sent };
}

interface Body {
  add(chunk: Buffer): true;
  text(): string;
  json(): Record<string, unknown>;
}

/** Bytes of an answer that is held here: vectors for a batch of texts are the largest. */
const mostHeld = 256 * 2 ** 20;

function createBody(): Body {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const text = () => Buffer.concat(chunks).toString('utf8');
  return {
    add(chunk) {
      bytes += chunk.byteLength;
      if (bytes > mostHeld) throw new Fault('UPSTREAM_FAILED', 'The answer of the engine is too large.');
      chunks.push(chunk);
      return true;
    },
    text,
    json() {
      const value = parsed(text());
      if (isRecord(value)) return value;
      throw new Fault('UPSTREAM_FAILED', 'The engine answered with something else than JSON.');
    },
  };
}

/** A chunk; throws when it tells of a failure. */
function readChunk(data: string): Record<string, unknown> {
  const value = parsed(data);
  if (!isRecord(value)) throw new Fault('UPSTREAM_FAILED', 'The engine sent an event that is no JSON.');
  if (value.error !== undefined) throw refusalOf(500, data);
  return value;
}
