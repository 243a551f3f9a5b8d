import { toFault } from '#kernel/faults';
import type { Clock } from '#kernel/clock';
import { repeat } from '#kernel/repeat';
import type { Sessions } from '#security/sessions';
import type { Control } from './control.ts';
import { problemOf } from './errors.ts';
import type { Exchange } from './exchange.ts';
import type { Live } from './live.ts';
import { eventStream } from './sse.ts';

export interface ControlDeps {
  readonly control: Control;
  readonly live: Live;
  readonly sessions: Sessions;
  readonly clock: Clock;
  readonly url: () => string;
}

export type Handler = (exchange: Exchange, deps: ControlDeps, name: string) => Promise<void> | void;

export interface Route {
  readonly method: string;
  readonly path: RegExp;
  readonly role: 'admin' | 'use';
  readonly handle: Handler;
}

/** A path of the control API; `:name` stands for one segment, decoded. */
export const route = (method: string, path: string, role: Route['role'], handle: Handler): Route => ({
  method,
  path: new RegExp(`^/sutaz/v1${path.replace(':name', '([^/]+)')}$`),
  role,
  handle,
});

/** Milliseconds between the events of a long work. */
const progressEveryMs = 250;

/** Tells of a long work by events: `progress` while it lasts, then `done` or `error`. */
export async function streamWork(
  exchange: Exchange,
  clock: Clock,
  progress: () => unknown,
  work: () => Promise<unknown>,
): Promise<void> {
  const stream = eventStream(exchange);
  let told = '';
  const tell = () => {
    const now = progress();
    const text = JSON.stringify(now);
    if (now !== null && text !== told) stream.send('progress', now);
    told = text;
  };
  // A unit whose definition goes meanwhile has no progress to tell: how its work ends is told below.
  const stop = repeat(
    clock,
    progressEveryMs,
    async () => tell(),
    () => undefined,
  );
  try {
    const result = await work();
    // What was over before the next event was due still says what it did.
    tell();
    stream.send('done', result);
  } catch (error) {
    stream.send('error', problemOf(toFault(error), exchange.traceId));
  } finally {
    stop();
    stream.end();
  }
}
