import type { AnswerHead } from '../transport/answer-head.ts';
import type { AnswerSink } from '../transport/upstreams.ts';
import { createFlight } from './flight.ts';
import type { Flight } from './flight.ts';

/** Calls to engines that are under way for several callers each. */
export interface Ongoing {
  /** The one under this key that somebody who comes now may join; null where there is none. */
  joinable(key: string): Flight | null;
  /** Makes one that others may join from now on. `onWhole` hears its answer unless what it is about was forgotten meanwhile. */
  launch(key: string, launched: Launched): Flight;
  /** What those with all of these tags answer is not kept, and nobody joins them any more. */
  forget(tags: readonly string[]): void;
}

export interface Launched {
  readonly tags: readonly string[];
  readonly largest: number;
  readonly send: (sink: AnswerSink, signal: AbortSignal) => Promise<void>;
  readonly onWhole: (head: AnswerHead, body: Buffer) => void;
}

interface Entry {
  readonly flight: Flight;
  readonly tags: readonly string[];
  isForgotten: boolean;
}

export function createOngoing(): Ongoing {
  const all = new Set<Entry>();
  const byKey = new Map<string, Entry>();
  const drop = (key: string, entry: Entry): void => {
    all.delete(entry);
    // It may have been overtaken by one that somebody asked for anew.
    if (byKey.get(key) === entry) byKey.delete(key);
  };
  return {
    joinable(key) {
      const entry = byKey.get(key);
      return entry?.flight.open === true && !entry.isForgotten ? entry.flight : null;
    },
    launch(key, { tags, largest, send, onWhole }) {
      const flight = createFlight({
        ...{ largest, send },
        onEnd(answer) {
          drop(key, entry);
          if (answer && !entry.isForgotten) onWhole(answer.head, answer.body);
        },
      });
      const entry: Entry = { flight, tags, isForgotten: false };
      all.add(entry);
      byKey.set(key, entry);
      return flight;
    },
    forget(tags) {
      for (const entry of all) if (tags.every((tag) => entry.tags.includes(tag))) entry.isForgotten = true;
    },
  };
}
