import type { StateStore, StateTable } from '#contracts/state';
import type { Logger } from '#kernel/logger';

export interface Learned {
  /** The high-water mark of measured memory, in bytes. */
  readonly bytes: number | null;
  /** How long it takes to start, in milliseconds. */
  readonly startMs: number | null;
  /** What it keeps while it is frozen, in bytes, and how long it takes to come back from there. */
  readonly frozenBytes: number | null;
  readonly thawMs: number | null;
  /** The high-water mark of what it was measured to hold on a graphics card, in bytes. */
  readonly vramBytes?: number | null;
}

export const nothingLearned: Learned = { bytes: null, startMs: null, frozenBytes: null, thawMs: null, vramBytes: null };

/** What was learned of a unit under given settings: a model at 8k context is not the same as at 32k. */
export interface LearnedStore {
  of(key: string): Learned;
  /** Never throws: what cannot be written is known until the platform ends, and is written with what is learned next. */
  put(key: string, learned: Learned): void;
}

/** An older row lacks what was not kept then. */
type Row = { readonly [K in keyof Learned]?: number | null };

const figures = ['bytes', 'startMs', 'frozenBytes', 'thawMs', 'vramBytes'] as const;

/** Written through only when a value moved by a hundredth: a high-water mark creeps up by pages for a long time. */
export function openLearned(store: StateStore, log: Logger): LearnedStore {
  const table: StateTable<Row> = store.table<Row>('learned');
  const rows = new Map(table.list().map(({ key, value }) => [key, value]));
  const unwritten = new Set<string>();
  const write = (key: string, row: Row): void => {
    try {
      table.put(key, row);
      unwritten.delete(key);
    } catch (error) {
      // Told once: a service that has just come up must not end because the disk is full.
      if (!unwritten.has(key)) log.warn('what was learned could not be written', { key, error: String(error) });
      unwritten.add(key);
    }
  };
  return {
    of: (key) => ({ ...nothingLearned, ...rows.get(key) }),
    put(key, learned) {
      const before = { ...nothingLearned, ...rows.get(key) };
      const isNew = figures.some((figure) => moved(before[figure] ?? null, learned[figure] ?? null));
      if (!isNew && !unwritten.has(key)) return;
      // What is not known now was known before: a size that was set by hand for a while has taught nothing.
      const row: Row = Object.fromEntries(figures.map((figure) => [figure, learned[figure] ?? before[figure] ?? null]));
      rows.set(key, row);
      write(key, row);
    },
  };
}

const moved = (before: number | null, now: number | null): boolean =>
  now !== null && (before === null || Math.abs(now - before) > before / 100);
