import type { ServerResponse } from 'node:http';
import type { Answered } from './chat.ts';
import type { Likelihood, Prompt } from './contract.ts';
import { toApiError } from './errors.ts';
import {
  generation,
  type GenerationEvent,
  type GenerationHost,
  type GenerationOptions,
  type Piece,
  type Usage,
} from './generation.ts';
import type { Log, LogFields } from './log.ts';
import type { Meter } from './meter.ts';
import type { StreamChoice } from './sampling.ts';
import { openEventStream, type EventStream } from './sse.ts';

type Done = Extract<GenerationEvent, { kind: 'done' }>;

/** How one kind of answer looks, whole and in pieces. `choice` counts the answers to one request from 0. */
export interface Renderer {
  /** What an answer in a stream begins with, before any text. */
  opening(choice: number): readonly unknown[];
  piece(choice: number, piece: Piece): unknown;
  closing(choice: number, done: Done): unknown;
  usage(usage: Usage): unknown;
  whole(answers: readonly Answered[], usage: Usage): unknown;
}

export interface Exchange extends GenerationHost {
  readonly id: string;
  readonly response: ServerResponse;
  /** Aborts when the client leaves, or when the host can wait no longer. */
  readonly signal: AbortSignal;
  /** When the client left; undefined while it is there. */
  readonly leftAt: () => number | undefined;
  readonly log: Log;
  readonly meter: Meter;
}

export interface Job {
  readonly prompt: Prompt;
  readonly options: GenerationOptions;
  readonly choice: StreamChoice;
  /** How many answers are asked for. */
  readonly count: number;
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers = {}): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

/** Generates, and answers whole or as a stream. What fails before the first byte is thrown; after it, told in the stream. */
export async function answer(exchange: Exchange, job: Job, renderer: Renderer): Promise<void> {
  // One answer that fails ends the others: they share a response.
  const control = new AbortController();
  const own = { ...exchange, signal: AbortSignal.any([exchange.signal, control.signal]) };
  const soFar = { promptTokens: job.prompt.tokens.length, completionTokens: 0 };
  const options = { ...job.options, onToken: () => void soFar.completionTokens++ };
  const running = Array.from({ length: job.count }, (_, choice) => logged(own, { ...job, options }, choice));
  try {
    if (job.choice.stream) await stream(own, running, job.choice, told(renderer, job.choice, soFar), control);
    else await collect(own, running, renderer, control);
  } finally {
    await Promise.all(running.map((events) => events.return(undefined)));
  }
}

const unsigned = 0x1_0000_0000;

/** One of the answers. The same seed would say the same again: each has its own. */
async function* logged(
  exchange: Exchange,
  { prompt, options, choice }: Job,
  index: number,
): AsyncGenerator<GenerationEvent> {
  const { sampling } = options;
  const own = { ...options, sampling: { ...sampling, seed: (sampling.seed + index) % unsigned } };
  let outcome: LogFields = {};
  let ended = false;
  try {
    for await (const event of generation(exchange, prompt, own, exchange.signal)) {
      if (event.kind === 'done') {
        ended = true;
        exchange.meter.add(event);
        outcome = doneFields(event);
      }
      yield event;
    }
  } finally {
    const leftAt = exchange.leftAt();
    if (!ended) outcome = { outcome: leftAt === undefined ? 'failed' : 'left' };
    exchange.log('generation', {
      id: exchange.id,
      stream: choice.stream,
      promptTokens: prompt.tokens.length,
      ...outcome,
      // From the socket's close to the slot being free for someone else.
      ...(leftAt === undefined ? {} : { freedMs: Math.round(exchange.now() - leftAt) }),
    });
  }
}

const doneFields = ({ reason, usage, timing }: Done): LogFields => ({
  outcome: reason,
  cachedTokens: usage.cachedTokens,
  completionTokens: usage.completionTokens,
  waitedMs: Math.round(timing.waited),
  promptMs: Math.round(timing.prompt),
  generationMs: Math.round(timing.generation),
});

/** The prompt is counted once, however many answers it got. */
const sumOf = (all: readonly Usage[]): Usage => ({
  promptTokens: all[0]?.promptTokens ?? 0,
  cachedTokens: all[0]?.cachedTokens ?? 0,
  completionTokens: all.reduce((sum, { completionTokens }) => sum + completionTokens, 0),
});

/** All of them at once, as slots allow. The first failure ends the rest, and is what is thrown once they have ended. */
async function each<T>(
  running: readonly AsyncGenerator<GenerationEvent>[],
  control: AbortController,
  work: (events: AsyncGenerator<GenerationEvent>, choice: number) => Promise<T>,
): Promise<T[]> {
  const outcomes = await Promise.allSettled(
    running.map(async (events, choice) => {
      try {
        return await work(events, choice);
      } catch (error) {
        control.abort(error);
        throw error;
      }
    }),
  );
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw control.signal.reason ?? outcome.reason;
    return outcome.value;
  });
}

async function collect(
  { response }: Exchange,
  running: readonly AsyncGenerator<GenerationEvent>[],
  renderer: Renderer,
  control: AbortController,
): Promise<void> {
  const all = await each(running, control, gather);
  const usage = sumOf(all.map((one) => one.usage));
  sendJson(
    response,
    200,
    renderer.whole(
      all.map((one) => one.answered),
      usage,
    ),
  );
}

async function gather(events: AsyncGenerator<GenerationEvent>): Promise<{ answered: Answered; usage: Usage }> {
  let text = '';
  let likelihoods: Likelihood[] | undefined;
  const calls: { name: string; json: string }[] = [];
  for await (const event of events) {
    if (event.kind === 'text') {
      text += event.text;
      if (event.likelihoods) (likelihoods ??= []).push(...event.likelihoods);
    }
    if (event.kind === 'call') calls.push({ name: event.name, json: '' });
    const open = calls.at(-1);
    if (event.kind === 'arguments' && open) open.json += event.text;
    if (event.kind === 'done') {
      const { reason, stoppedBy, usage } = event;
      return { answered: { text, calls, reason, stoppedBy, likelihoods }, usage };
    }
  }
  throw new Error('the generation ended without a result');
}

async function stream(
  { response, id, log }: Exchange,
  running: readonly AsyncGenerator<GenerationEvent>[],
  { includeUsage }: StreamChoice,
  renderer: Renderer,
  control: AbortController,
): Promise<void> {
  // Nothing is written before a slot is granted: until then a failure is still a plain status.
  await running[0]?.next();
  const out = openEventStream(response);
  try {
    const usages = await each(running, control, (events, choice) => tell(out, events, choice, renderer));
    if (includeUsage) await out.send(renderer.usage(sumOf(usages)));
    out.done();
  } catch (error) {
    if (!response.destroyed) {
      log('stream-failed', { id, error: String(error) });
      out.fail(toApiError(error).api.body);
    }
    throw error;
  }
}

/** With each chunk what all answers came to so far, where that was asked for. */
function told(renderer: Renderer, { continuousUsage }: StreamChoice, soFar: Omit<Usage, 'cachedTokens'>): Renderer {
  if (!continuousUsage) return renderer;
  const counted = (chunk: unknown): unknown => {
    const { promptTokens: prompt, completionTokens: completion } = soFar;
    const usage = { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
    return { ...(chunk as object), usage };
  };
  return {
    ...renderer,
    opening: (choice) => renderer.opening(choice).map(counted),
    piece: (choice, piece) => counted(renderer.piece(choice, piece)),
    closing: (choice, done) => counted(renderer.closing(choice, done)),
  };
}

async function tell(
  out: EventStream,
  events: AsyncGenerator<GenerationEvent>,
  choice: number,
  renderer: Renderer,
): Promise<Usage> {
  for (const chunk of renderer.opening(choice)) await out.send(chunk);
  for await (const event of events) {
    if (event.kind === 'started') continue;
    if (event.kind !== 'done') {
      await out.send(renderer.piece(choice, event));
      continue;
    }
    await out.send(renderer.closing(choice, event));
    return event.usage;
  }
  throw new Error('the generation ended without a result');
}
