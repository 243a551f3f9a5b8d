import { keepAwake } from '../comments.ts';
import type { CallTiming, Sink } from '../engine-call.ts';
import type { Exchange } from '../exchange.ts';
import type { ForwardDeps, Onward } from '../forward.ts';
import { refusalOf } from '../refusal.ts';
import type { Hit, Miss } from './answers.ts';
import type { Reader } from './flight.ts';
import { sendForAll } from './send.ts';

export interface Taking {
  readonly onward: Onward & { readonly body: Buffer };
  /** What the client is told each second until the answer begins; null for nothing. */
  readonly waiting: string | null;
  /** The model answers, so that it is awake: never called for what is kept. */
  readonly onHead: () => void;
  readonly sink: Sink;
}

/** The same answers for the APIs that are made into calls of OpenAI's: each caller's is translated anew. */
export async function takeKept(
  kept: Hit | Miss,
  exchange: Exchange,
  taking: Taking,
  deps: ForwardDeps,
): Promise<CallTiming> {
  const { clock } = deps;
  const sent = clock.now();
  const { reader, times } = readerOf(exchange, taking, () => clock.now() - sent);
  if (kept.kind === 'hit') {
    readHit(exchange, kept, reader);
    return times();
  }
  const { onward, waiting, onHead } = taking;
  const awake = waiting === null ? null : keepAwake(exchange, clock, () => waiting);
  const waited: Reader = {
    head(answer) {
      awake?.stop();
      onHead();
      reader.head(answer);
    },
    data: reader.data,
  };
  try {
    await kept.join((own, sink) => sendForAll(own, onward, deps, sink, awake?.onQueued), waited);
  } finally {
    awake?.stop();
  }
  return times();
}

function readHit({ res }: Exchange, { answer, status, ageSeconds }: Hit, reader: Reader): void {
  res.setHeader('cache-status', status).setHeader('age', ageSeconds);
  const framing = { kind: 'length', bytes: answer.body.byteLength } as const;
  reader.head({ status: 200, headers: ['content-type', answer.contentType], framing });
  // Whoever is behind with it is so for what is all there: nobody is held up.
  reader.data(answer.body, () => undefined);
}

/** `times` throws what the engine refused it with, once the answer is whole. */
function readerOf(exchange: Exchange, { sink }: Taking, elapsed: () => number) {
  let firstMs: number | undefined;
  let refused: number | null = null;
  const reader: Reader = {
    head({ status, headers }) {
      exchange.answered = true;
      if (status >= 300 || !sink.head(headers, {})) refused = status;
    },
    data(chunk, resume) {
      firstMs ??= elapsed();
      return refused === null ? sink.data(chunk, resume) : sink.refusal.add(chunk);
    },
  };
  const times = (): CallTiming => {
    if (refused !== null) throw refusalOf(refused, sink.refusal.text());
    const totalMs = elapsed();
    return { queueMs: 0, wakeMs: 0, firstMs: firstMs ?? totalMs, totalMs };
  };
  return { reader, times };
}
