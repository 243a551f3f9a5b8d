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

/**
 * Keeps a streaming caller from timing out while its unit wakes: after a second it gets its headers, and each second a
 * comment (which every reader of server-sent events skips) that says how far the wake is.
 */
export function keepAwakeComments(
  exchange: Exchange,
  clock: Clock,
  progress: (waiter?: WaiterId) => ApiProgress,
): Comments {
  const { res } = exchange;
  let waiter: WaiterId | undefined;
  const say = () => {
    if (res.destroyed || res.writableEnded) return;
    if (!res.headersSent) openStream(exchange);
    res.write(`: ${JSON.stringify(progress(waiter))}\n\n`);
    cancel = clock.after(commentEveryMs, say);
  };
  let cancel = clock.after(commentEveryMs, say);
  return { onQueued: (id) => (waiter = id), stop: () => cancel() };
}

/** Sends the headers of a stream of server-sent events. */
export function openStream(exchange: Exchange): void {
  exchange.streaming = true;
  exchange.res.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    // Reverse proxies in front of the door would hold events back otherwise.
    'x-accel-buffering': 'no',
    'x-sutaz-trace-id': exchange.traceId,
  });
  exchange.res.flushHeaders();
}
