import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sizeOf } from './weigh.ts';

/** Tells of everything below a folder, links unfollowed. What goes while it is looked at is left out. */
export async function walk(path: string, onEntry: (stats: Stats) => void): Promise<void> {
  const folders = [path];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const children: string[] = [];
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
      const child = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(child);
      children.push(child);
    }
    // A folder at a time: one by one, a home of half a million files would take minutes.
    const all = await Promise.all(children.map((child) => lstat(child).catch(() => null)));
    for (const stats of all) if (stats) onEntry(stats);
  }
}

/** Adds up the bytes on disk of what it is shown, each file once. */
export function createScale() {
  const seen = new Set<number>();
  let bytes = 0;
  let sharedBytes = 0;
  return {
    add(stats: Stats): void {
      if (seen.has(stats.ino)) return;
      seen.add(stats.ino);
      bytes += sizeOf(stats);
      if (!stats.isDirectory() && stats.nlink > 1) sharedBytes += sizeOf(stats);
    },
    /** `sharedBytes` are those of files with more than one link. */
    weight: () => ({ bytes, sharedBytes }),
  };
}

/** Bytes on disk of a tree; hard links within it are counted once. */
export async function usageOf(path: string): Promise<{ readonly bytes: number; readonly sharedBytes: number }> {
  const scale = createScale();
  await walk(path, scale.add);
  return scale.weight();
}

/**
 * Bytes that are given back when `going` goes, and with it what of the caches nothing else holds: those of its files that
 * have no link outside of both.
 */
export async function freedBy(going: readonly string[], caches: readonly string[]): Promise<number> {
  const files = new Map<number, { readonly stats: Stats; links: number }>();
  let bytes = 0;
  const count = (stats: Stats) => {
    const file = files.get(stats.ino);
    if (file) file.links++;
    else if (stats.isDirectory()) bytes += sizeOf(stats);
    else files.set(stats.ino, { stats, links: 1 });
  };
  for (const path of going) await walk(path, count);
  const inCache = (stats: Stats) => {
    const file = files.get(stats.ino);
    if (file) file.links++;
  };
  for (const path of caches) await walk(path, inCache);
  for (const { stats, links } of files.values()) if (links >= stats.nlink) bytes += sizeOf(stats);
  return bytes;
}
