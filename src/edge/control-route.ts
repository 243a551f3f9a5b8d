import type { ApiLimits } from '#contracts/limits-api';
import { controlBase, operation } from '#contracts/operations';
import type { AnswerOf, BodyOf, Operation, OperationId } from '#contracts/operations';
import { toFault } from '#kernel/faults';
import type { Clock } from '#kernel/clock';
import { repeat } from '#kernel/repeat';
import type { Sessions } from '#security/sessions';
import type { AnswerCache } from './cache/answers.ts';
import type { Control } from './control.ts';
import type { Description } from './description.ts';
import { problemOf } from './errors.ts';
import { parseObject, readBody } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { read } from './fields.ts';
import type { Field, Fields, Read } from './fields.ts';
import type { Viewer } from './limits/view.ts';
import type { Live } from './live.ts';
import type { ModelDirectory } from './models.ts';
import type { Routes } from './routes/serve.ts';
import { eventStream } from './sse.ts';
import type { EventStream } from './sse.ts';

export interface ControlDeps {
  readonly control: Control;
  readonly answers: AnswerCache;
  readonly routes: Routes;
  readonly models: ModelDirectory;
  readonly live: Live;
  readonly sessions: Sessions;
  readonly clock: Clock;
  readonly readLimits: (viewer: Viewer) => ApiLimits;
  readonly url: () => string;
  readonly description: Description;
}

/** What a handler returns that has answered by itself, with a stream for instance. */
export const sent = Symbol('sent');

/** It is sent with the operation's status; a stream, a text and an answer without a body are the handler's own. */
type Reply<Id extends OperationId> = [AnswerOf<Id>] extends [never] ? void : AnswerOf<Id> | typeof sent;

/** `name` is the segment of the path, decoded. */
export type Handler<Id extends OperationId> = (
  exchange: Exchange,
  deps: ControlDeps,
  name: string,
) => Promise<Reply<Id>> | Reply<Id>;

export interface Route {
  readonly id: OperationId;
  readonly operation: Operation;
  readonly path: RegExp;
  readonly handle: (exchange: Exchange, deps: ControlDeps, name: string) => unknown;
}

/** What is done for an operation of `#contracts/operations`, which says its method, its path and who may. */
export const route = <Id extends OperationId>(id: Id, handle: Handler<Id>): Route => ({
  id,
  operation: operation(id),
  path: new RegExp(`^${controlBase}${operation(id).path.replace(/\{\w+\}/, '([^/]+)')}$`),
  handle,
});

/** How each key of an operation's body is read: exactly those that its type has. */
export type FieldsOf<Id extends OperationId> = {
  readonly [K in keyof BodyOf<Id>]-?: Field<Exclude<BodyOf<Id>[K], undefined>>;
};

/** Longer ones are not asked for anything here. */
const longestBody = 64 * 1024;

/** The fields of a body; none at all is an empty one. Throws BAD_REQUEST with the key. */
export async function bodyOf<F extends Fields>(exchange: Exchange, fields: F): Promise<Read<F>> {
  const bytes = await readBody(exchange, longestBody);
  return read(bytes.length === 0 ? {} : parseObject(bytes), fields);
}

/** Milliseconds between the events of a long work. */
const progressEveryMs = 250;

/** Tells of a long work by events: `progress` while it lasts, then `done` or `error`. */
export async function streamWork(
  exchange: Exchange,
  clock: Clock,
  progress: () => unknown,
  work: () => Promise<unknown>,
): Promise<void> {
  let told = '';
  const tell = (stream: EventStream) => {
    const now = progress();
    const text = JSON.stringify(now);
    if (now !== null && text !== told) stream.send('progress', now);
    told = text;
  };
  await streamEvents(exchange, { clock, everyMs: progressEveryMs, tell }, async (stream) => {
    const result = await work();
    // What was over before the next event was due still says what it did.
    tell(stream);
    stream.send('done', result);
  });
}

export interface Telling {
  readonly clock: Clock;
  /** Milliseconds between two looks at how far it is. */
  readonly everyMs: number;
  readonly tell: (stream: EventStream) => void;
}

/** A stream of events for as long as the work lasts, which sends its own; `error` is the last when it throws. */
export async function streamEvents(
  exchange: Exchange,
  { clock, everyMs, tell }: Telling,
  work: (stream: EventStream) => Promise<void>,
): Promise<void> {
  const stream = eventStream(exchange);
  // A unit whose definition goes meanwhile has no progress to tell: how its work ends is told below.
  const stop = repeat(
    clock,
    everyMs,
    async () => tell(stream),
    () => undefined,
  );
  try {
    await work(stream);
  } catch (error) {
    stream.send('error', problemOf(toFault(error), exchange.traceId));
  } finally {
    stop();
    stream.end();
  }
}
