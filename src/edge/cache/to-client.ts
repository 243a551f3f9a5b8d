import type { Exchange } from '../exchange.ts';
import { keepAwakeComments } from '../comments.ts';
import { endLate, gather } from '../forward.ts';
import type { ForwardDeps, Late, Onward } from '../forward.ts';
import { mirror } from '../mirror.ts';
import { endWith } from '../outgoing.ts';
import { headerOf } from '../transport/fields.ts';
import type { Hit, Miss } from './answers.ts';
import type { Reader } from './flight.ts';
import { sendForAll } from './send.ts';

/** Answers in OpenAI's API with what the cache has, or with what the engine says to all who ask the same now. */
export async function answerFrom(
  kept: Hit | Miss,
  exchange: Exchange,
  onward: Onward & { readonly body: Buffer },
  deps: ForwardDeps,
): Promise<void> {
  if (kept.kind === 'hit') return sendHit(exchange, kept);
  const client = clientOf(exchange);
  const { unit, stream } = onward;
  const comments = stream
    ? keepAwakeComments(exchange, deps.clock, (waiter) => deps.waker.progress(unit, waiter))
    : null;
  const reader: Reader = {
    head(answer) {
      comments?.stop();
      client.head(answer);
    },
    data: client.data,
  };
  try {
    await kept.join((own, sink) => {
      mirror(own, onward, deps);
      return sendForAll(own, onward, deps, sink, comments?.onQueued);
    }, reader);
  } finally {
    comments?.stop();
  }
  client.end();
}

/** In one piece, a stream too: its events are all there. */
function sendHit(exchange: Exchange, { answer, status, ageSeconds }: Hit): void {
  const { res, traceId } = exchange;
  exchange.answered = true;
  // No list: with headers that were set before, as limits do, Node takes twice as long for one.
  res.writeHead(200, {
    ...{ 'content-type': answer.contentType, 'content-length': answer.body.byteLength },
    ...{ 'cache-status': status, age: String(ageSeconds), 'x-sutaz-trace-id': traceId },
  });
  endWith(res, answer.body);
}

/** Whoever is slow slows nobody else: what it has not had yet is held for it. */
function clientOf(exchange: Exchange): Reader & { end(): void } {
  const { res, traceId } = exchange;
  let late: Late | null = null;
  return {
    head({ status, headers }) {
      const isStream = headerOf(headers, 'content-type')?.startsWith('text/event-stream') === true;
      exchange.answered = true;
      if (res.headersSent) {
        if (status >= 400 || !isStream) late = { status, chunks: [], bytes: 0 };
        return;
      }
      exchange.streaming = isStream;
      const source = status >= 400 ? ['x-sutaz-source', 'upstream'] : [];
      res.writeHead(status, [...headers, ...source, 'x-sutaz-trace-id', traceId]);
      if (isStream) res.flushHeaders();
    },
    data(chunk, resume) {
      if (late) return gather(late, chunk);
      if (res.write(chunk)) return true;
      res.once('drain', resume);
      return false;
    },
    end() {
      if (late) endLate(exchange, late);
      else if (!res.writableEnded) res.end();
    },
  };
}
