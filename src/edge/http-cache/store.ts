import { LRUCache } from 'lru-cache';
import type { AskedFor, Freshness } from './policy.ts';

/** A whole answer of a service. */
export interface StoredAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer;
  readonly freshness: Freshness;
  /** Empty where all callers share. */
  readonly caller: string;
  /** What `Vary` names, with what the request had of it. */
  readonly vary: readonly (readonly [name: string, value: string | undefined])[];
  /** What it may be forgotten by: the words of its `Cache-Tag`. */
  readonly tags: readonly string[];
}

export interface HttpStore {
  /** Those of one address, for whomever and in whatever form. */
  all(url: string): readonly StoredAnswer[];
  /** Takes the place of the one for the same caller in the same form. */
  put(url: string, answer: StoredAnswer): void;
  /** Forgets all of an address, and what is on its way from there. */
  drop(url: string): void;
  /** Forgets those that fit, and whatever is on its way. Returns how many. */
  clear(fits: (answer: StoredAnswer) => boolean): number;
  /** Another one after each `drop` and `clear`: what was asked for before may not be kept after. */
  readonly epoch: number;
  readonly bytes: number;
  readonly entries: number;
  /** Bytes of the largest body that is kept. */
  readonly largest: number;
}

/** What one costs beside its body: headers, the policy, its places. */
const overheadBytes = 2_048;
const largestShare = 8;
/** Forms of one address; of more the oldest goes. */
const mostForms = 64;

export const fits = ({ vary, caller }: StoredAnswer, asked: AskedFor, who: string): boolean =>
  caller === who && vary.every(([name, value]) => asked.headers[name] === value);

/** Answers in memory, `memory` bytes of them at most. `onEvicted` hears of those that make room for others. */
export function createHttpStore(memory: number, onEvicted: (answers: number) => void = () => undefined): HttpStore {
  let epoch = 0;
  let entries = 0;
  const kept = new LRUCache<string, readonly StoredAnswer[]>({
    maxSize: Math.max(1, memory),
    sizeCalculation: (answers) => sizeOf(answers),
    dispose(answers, _, reason) {
      entries -= answers.length;
      if (reason === 'evict') onEvicted(answers.length);
    },
  });
  const set = (url: string, answers: readonly StoredAnswer[]): void => {
    entries += answers.length;
    kept.set(url, answers);
    // One that is larger than all there is room for is not taken at all, and told of to nobody.
    if (!kept.has(url)) entries -= answers.length;
  };
  const isSame = (a: StoredAnswer, b: StoredAnswer): boolean =>
    a.caller === b.caller && JSON.stringify(a.vary) === JSON.stringify(b.vary);
  return {
    all: (url) => kept.get(url) ?? [],
    put(url, answer) {
      const others = (kept.get(url) ?? []).filter((one) => !isSame(one, answer));
      // What no longer fits beside it goes, and not the whole address.
      const forms = [answer, ...others].slice(0, mostForms);
      while (forms.length > 1 && sizeOf(forms) > memory / 2) forms.pop();
      if (forms.length <= others.length) onEvicted(others.length + 1 - forms.length);
      set(url, forms);
    },
    clear(fits) {
      epoch++;
      let cleared = 0;
      for (const [url, answers] of [...kept.entries()]) {
        const left = answers.filter((one) => !fits(one));
        cleared += answers.length - left.length;
        if (left.length === 0) kept.delete(url);
        else if (left.length < answers.length) set(url, left);
      }
      return cleared;
    },
    drop(url) {
      epoch++;
      kept.delete(url);
    },
    get epoch() {
      return epoch;
    },
    get bytes() {
      return kept.calculatedSize;
    },
    get entries() {
      return entries;
    },
    largest: Math.floor(memory / largestShare) - overheadBytes,
  };
}

const sizeOf = (answers: readonly StoredAnswer[]): number =>
  answers.reduce((sum, { body }) => sum + body.byteLength + overheadBytes, 0);
