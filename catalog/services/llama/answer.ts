import type { ServerResponse } from 'node:http';
import type { Prompt } from './contract.ts';
import { toApiError } from './errors.ts';
import {
  generation,
  type GenerationEvent,
  type GenerationHost,
  type GenerationOptions,
  type Usage,
} from './generation.ts';
import type { Log, LogFields } from './log.ts';
import type { Meter } from './meter.ts';
import type { StreamChoice } from './sampling.ts';
import { openEventStream } from './sse.ts';

type Done = Extract<GenerationEvent, { kind: 'done' }>;

/** How one kind of answer looks, whole and in pieces. */
export interface Renderer {
  /** What a stream begins with, before any text. */
  opening(): readonly unknown[];
  delta(text: string): unknown;
  closing(reason: Done['reason']): unknown;
  usage(usage: Usage): unknown;
  whole(text: string, reason: Done['reason'], usage: Usage): unknown;
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
  let outcome: LogFields = {};
  try {
    const events = generation(exchange, job.prompt, job.options, exchange.signal);
    const done = job.choice.stream
      ? await stream(exchange, events, job.choice.includeUsage, renderer)
      : await collect(exchange, events, renderer);
    exchange.meter.add(done);
    outcome = doneFields(done);
  } catch (error) {
    outcome = { outcome: exchange.leftAt() === undefined ? 'failed' : 'left' };
    throw error;
  } finally {
    const leftAt = exchange.leftAt();
    exchange.log('generation', {
      id: exchange.id,
      stream: job.choice.stream,
      promptTokens: job.prompt.tokens.length,
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

async function collect(
  { response }: Exchange,
  events: AsyncIterable<GenerationEvent>,
  renderer: Renderer,
): Promise<Done> {
  let text = '';
  for await (const event of events) {
    if (event.kind === 'text') text += event.text;
    if (event.kind !== 'done') continue;
    sendJson(response, 200, renderer.whole(text, event.reason, event.usage));
    return event;
  }
  throw new Error('the generation ended without a result');
}

async function stream(
  { response, id, log }: Exchange,
  events: AsyncGenerator<GenerationEvent>,
  includeUsage: boolean,
  renderer: Renderer,
): Promise<Done> {
  // Nothing is written before a slot is granted: until then a failure is still a plain status.
  const first = await events.next();
  const out = openEventStream(response);
  try {
    if (!first.done) for (const chunk of renderer.opening()) await out.send(chunk);
    for await (const event of events) {
      if (event.kind === 'text') await out.send(renderer.delta(event.text));
      if (event.kind !== 'done') continue;
      await out.send(renderer.closing(event.reason));
      if (includeUsage) await out.send(renderer.usage(event.usage));
      out.done();
      return event;
    }
    throw new Error('the generation ended without a result');
  } catch (error) {
    if (!response.destroyed) {
      log('stream-failed', { id, error: String(error) });
      out.fail(toApiError(error).api.body);
    }
    throw error;
  } finally {
    await events.return(undefined);
  }
}
