import type { OutgoingHttpHeaders } from 'node:http';
import type { ApiProgress } from '#contracts/api';
import type { Clock } from '#kernel/clock';
import type { WaiterId } from '#kernel/ids';
import type { Exchange } from './exchange.ts';

/** Milliseconds after which a waiting stream gets its headers, and between its comments from then on. */
export const commentEveryMs = 1_000;

export interface Comments {
  readonly onQueued: (id: WaiterId) => void;
  stop(): void;
}

/** As `keepAwake`, with comments that say how far the wake is: every reader of server-sent events skips them. */
export const keepAwakeComments = (
  exchange: Exchange,
  clock: Clock,
  progress: (waiter?: WaiterId) => ApiProgress,
): Comments => keepAwake(exchange, clock, (waiter) => `: ${JSON.stringify(progress(waiter))}\n\n`);

/**
 * Keeps a streaming caller from timing out while its unit wakes: after a second it gets its headers, and each second
 * something that means nothing to it.
 */
export function keepAwake(exchange: Exchange, clock: Clock, sign: (waiter?: WaiterId) => string): Comments {
  const { res } = exchange;
  let waiter: WaiterId | undefined;
  const say = () => {
    if (res.destroyed || res.writableEnded) return;
    if (!res.headersSent) openStream(exchange);
    res.write(sign(waiter));
    cancel = clock.after(commentEveryMs, say);
  };
  let cancel = clock.after(commentEveryMs, say);
  return { onQueued: (id) => (waiter = id), stop: () => cancel() };
}

/** Sends the headers of a stream; without a type, one of server-sent events. */
export function openStream(
  exchange: Exchange,
  contentType = 'text/event-stream; charset=utf-8',
  more: OutgoingHttpHeaders = {},
): void {
  exchange.streaming = true;
  exchange.res.writeHead(200, {
    'content-type': contentType,
    'cache-control': 'no-cache, no-transform',
    // Reverse proxies in front of the door would hold events back otherwise.
    'x-accel-buffering': 'no',
    'x-sutaz-trace-id': exchange.traceId,
    ...more,
  });
  exchange.res.flushHeaders();
}
