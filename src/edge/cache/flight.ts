import { Fault } from '#kernel/faults';
import type { AnswerHead } from '../transport/answer-head.ts';
import type { AnswerSink } from '../transport/upstreams.ts';

/** Somebody who is told an answer as it comes. */
export type Reader = Pick<AnswerSink, 'head' | 'data'>;

/** One call to an engine whose answer several wait for. */
export interface Flight {
  /** Whether one who comes now still gets all of it. */
  readonly open: boolean;
  /**
   * Tells a reader all of it, from its beginning. Resolves when that is whole; rejects with what it failed with, or when
   * the signal aborts. The call goes on for as long as anybody reads.
   */
  join(reader: Reader, signal: AbortSignal): Promise<void>;
  /** Sends it; to be called once the first reader has joined. */
  start(): void;
}

export interface FlightParts {
  /** Bytes that are held for who comes late. What is longer goes to those who are there, at the pace of the slowest. */
  readonly largest: number;
  readonly send: (sink: AnswerSink, signal: AbortSignal) => Promise<void>;
  /** It is over; null where it failed, or was too long to be held. */
  readonly onEnd: (answer: { readonly head: AnswerHead; readonly body: Buffer } | null) => void;
}

interface Place {
  readonly reader: Reader;
  /** How many of the chunks it has had. */
  at: number;
  told: boolean;
  /** It is behind, and says so when it is not. */
  waits: boolean;
  readonly settle: (error: unknown) => void;
}

/** The call belongs to none of its readers: whoever led it may leave, and the others never know. */
export function createFlight({ largest, send, onEnd }: FlightParts): Flight {
  const leaver = new AbortController();
  const places = new Set<Place>();
  const chunks: Buffer[] = [];
  const so: SoFar = { head: null, chunks, over: null };
  let bytes = 0;
  let resume: (() => void) | null = null;

  const leave = (place: Place, error: unknown): void => {
    if (!places.delete(place)) return;
    place.settle(error);
    if (places.size > 0) return catchUp();
    if (!so.over) leaver.abort(new Fault('CANCELLED', 'All who waited for this answer have left.'));
  };
  /** Beyond what is held, all that everybody has had is let go, and the engine goes on. */
  const catchUp = (): void => {
    if (bytes <= largest || [...places].some(({ at }) => at < chunks.length)) return;
    chunks.length = 0;
    for (const place of places) place.at = 0;
    const go = resume;
    resume = null;
    go?.();
  };
  const pump = (place: Place): void => {
    if (place.waits || !places.has(place)) return;
    try {
      if (tell(place, so, () => pump(place)) && so.over) return leave(place, so.over.error);
    } catch (error) {
      return leave(place, error);
    }
    catchUp();
  };
  const pumpAll = (): void => {
    for (const place of [...places]) pump(place);
  };
  const sink: AnswerSink = {
    head(answer) {
      so.head = answer;
      pumpAll();
    },
    data(chunk, goOn) {
      bytes += chunk.byteLength;
      chunks.push(chunk);
      pumpAll();
      if (bytes <= largest || chunks.length === 0) return true;
      resume = goOn;
      return false;
    },
  };
  const end = (error: unknown): void => {
    so.over = { error };
    const { head } = so;
    onEnd(error === null && head && bytes <= largest ? { head, body: Buffer.concat(chunks) } : null);
    pumpAll();
  };
  return {
    get open() {
      return so.over === null && bytes <= largest && !leaver.signal.aborted;
    },
    join(reader, signal) {
      return new Promise((resolve, reject) => {
        const onLeave = () => leave(place, signal.reason);
        const settle = (error: unknown) => {
          signal.removeEventListener('abort', onLeave);
          if (error === null) resolve();
          else reject(error as Error);
        };
        const place: Place = { reader, at: 0, told: false, waits: false, settle };
        places.add(place);
        if (signal.aborted) return onLeave();
        signal.addEventListener('abort', onLeave, { once: true });
        pump(place);
      });
    },
    start() {
      send(sink, leaver.signal).then(() => end(null), end);
    },
  };
}

/** What there is of an answer. */
interface SoFar {
  head: AnswerHead | null;
  readonly chunks: readonly Buffer[];
  /** Set when nothing more comes; the error is null when it is whole. */
  over: { readonly error: unknown } | null;
}

/** Tells a place what it has not had yet. True when it has had all there is. */
function tell(place: Place, { head, chunks }: SoFar, again: () => void): boolean {
  if (!place.told && head) {
    place.told = true;
    place.reader.head(head);
  }
  while (place.at < chunks.length) {
    const chunk = chunks[place.at++] as Buffer;
    const goesOn = place.reader.data(chunk, () => {
      place.waits = false;
      again();
    });
    if (goesOn) continue;
    place.waits = true;
    return false;
  }
  return true;
}
