import { LRUCache } from 'lru-cache';

/** A whole answer of an engine. */
export interface KeptAnswer {
  readonly contentType: string;
  readonly body: Buffer;
  /** Milliseconds of the clock at which it was whole. */
  readonly at: number;
  /** What it is forgotten by: `model smollm2:135m`, `principal ada`. */
  readonly tags: readonly string[];
}

export interface AnswerStore {
  get(key: string): KeptAnswer | undefined;
  /** Makes room by dropping what was not asked for the longest. Keeps nothing of what is larger than `largest`. */
  set(key: string, answer: KeptAnswer): void;
  /** Those with all of these tags; all there are where none is named. Returns how many. */
  clear(tags: readonly string[]): number;
  readonly entries: number;
  readonly bytes: number;
  readonly evicted: number;
  readonly largest: number;
}

/** What one costs beside its bytes: its key, its tags, its places in the maps. */
const overheadBytes = 512;
/** No answer takes more than this share of the room: it would drive out all others for one that seldom comes twice. */
const largestShare = 8;

/** Answers in memory, `bytes` of them at most. */
export function createAnswerStore(bytes: number): AnswerStore {
  const tagged = new Map<string, Set<string>>();
  let evicted = 0;
  const untag = (key: string, { tags }: KeptAnswer): void => {
    for (const tag of tags) {
      const keys = tagged.get(tag);
      keys?.delete(key);
      if (keys?.size === 0) tagged.delete(tag);
    }
  };
  const kept = new LRUCache<string, KeptAnswer>({
    maxSize: Math.max(1, bytes),
    sizeCalculation: ({ body }) => body.byteLength + overheadBytes,
    dispose(answer, key, reason) {
      untag(key, answer);
      if (reason === 'evict') evicted++;
    },
  });
  const largest = Math.floor(bytes / largestShare) - overheadBytes;
  const matching = (tags: readonly string[]): readonly string[] => {
    const [first, ...rest] = tags;
    if (first === undefined) return [...kept.keys()];
    const others = rest.map((tag) => tagged.get(tag));
    return [...(tagged.get(first) ?? [])].filter((key) => others.every((keys) => keys?.has(key) === true));
  };
  return {
    get: (key) => kept.get(key),
    set(key, answer) {
      if (answer.body.byteLength > largest) return;
      kept.set(key, answer);
      for (const tag of answer.tags) tagged.set(tag, (tagged.get(tag) ?? new Set()).add(key));
    },
    clear(tags) {
      const keys = matching(tags);
      for (const key of keys) kept.delete(key);
      return keys.length;
    },
    get entries() {
      return kept.size;
    },
    get bytes() {
      return kept.calculatedSize;
    },
    get evicted() {
      return evicted;
    },
    largest,
  };
}
