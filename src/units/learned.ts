import type { StateStore, StateTable } from '#contracts/state';

export interface Learned {
  /** The high-water mark of measured memory, in bytes. */
  readonly bytes: number | null;
  /** How long it takes to start, in milliseconds. */
  readonly startMs: number | null;
}

/** What was learned of a unit under given settings: a model at 8k context is not the same as at 32k. */
export interface LearnedStore {
  of(key: string): Learned;
  put(key: string, learned: Learned): void;
}

type Row = { readonly bytes: number | null; readonly startMs: number | null };

/** Written through only when a value moved by a hundredth: a high-water mark creeps up by pages for a long time. */
export function openLearned(store: StateStore): LearnedStore {
  const table: StateTable<Row> = store.table<Row>('learned');
  const rows = new Map(table.list().map(({ key, value }) => [key, value]));
  const nothing: Row = { bytes: null, startMs: null };
  return {
    of: (key) => rows.get(key) ?? nothing,
    put(key, { bytes, startMs }) {
      const before = rows.get(key) ?? nothing;
      if (!moved(before.bytes, bytes) && !moved(before.startMs, startMs)) return;
      // What is not known now was known before: a size that was set by hand for a while has taught nothing.
      const row: Row = { bytes: bytes ?? before.bytes, startMs: startMs ?? before.startMs };
      rows.set(key, row);
      table.put(key, row);
    },
  };
}

const moved = (before: number | null, now: number | null): boolean =>
  now !== null && (before === null || Math.abs(now - before) > before / 100);
