import type { Stats } from 'node:fs';
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** What a folder takes on disk, such that several can be added up without counting a file twice. */
export interface Weight {
  /** Bytes of what has one link, folders included. */
  readonly aloneBytes: number;
  /** Of each file with more links its inode and its bytes, one after the other. */
  readonly linked: Float64Array<ArrayBuffer>;
}

/** Where the weight of an environment is kept: no part of it. */
export const weightName = '.weight';

/**
 * Weighs all that is below a folder, links unfollowed; what goes meanwhile is left out. It blocks, and is for a thread of its own:
 * for half a million files a promise each costs several times as much as the looking.
 */
export function weigh(path: string): Weight {
  const linked = new Map<number, number>();
  let aloneBytes = 0;
  const add = (stats: Stats): void => {
    if (stats.nlink > 1 && !stats.isDirectory()) linked.set(stats.ino, sizeOf(stats));
    else aloneBytes += sizeOf(stats);
  };
  const folders = [path];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of entriesOf(folder)) {
      if (folder === path && entry.name.startsWith(weightName)) continue;
      const child = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(child);
      const stats = lstatSync(child, { throwIfNoEntry: false });
      if (stats) add(stats);
    }
  }
  return { aloneBytes, linked: Float64Array.from([...linked].flat()) };
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** Of blocks of 512 bytes, which is what the system counts in whatever those of the file system are. */
export const sizeOf = ({ blocks }: Pick<Stats, 'blocks'>): number => blocks * 512;
