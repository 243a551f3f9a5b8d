import { relative } from 'node:path';
import type { StateStore } from '#contracts/state';

/**
 * The data folders that a container has had since a process had them last. Within one, files may belong to anybody: who its
 * image runs as, and whomever that gave them to.
 */
export interface Lent {
  has(dataDir: string): boolean;
  /** Before the container is made: one that nobody knows of later must not keep its files from others. */
  note(dataDir: string): void;
  /** All in it was given to whoever has it next. */
  clear(dataDir: string): void;
}

export function openLent(state: StateStore, home: string): Lent {
  const table = state.table<true>('lent-data');
  // A home may be moved as a whole.
  const key = (dataDir: string) => relative(home, dataDir);
  return {
    has: (dataDir) => table.get(key(dataDir)) !== null,
    note: (dataDir) => table.put(key(dataDir), true),
    clear: (dataDir) => table.delete(key(dataDir)),
  };
}
