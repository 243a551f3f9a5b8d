import { readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { isHalfWritten } from './files.ts';

/** A download that was cut can be taken up again for this long. */
const keptMs = 7 * 86_400_000;

/** Names of what can not be taken up again once its process is gone begin with this. */
export const temporaryPrefix = 'tmp-';

/** The folders of a store. */
export interface Folders {
  readonly blobs: string;
  readonly manifests: string;
  readonly partial: string;
}

/**
 * Clears what earlier processes left behind. `now` is when this one opened the store, in milliseconds since the epoch:
 * 1. half-written manifests and temporary folders go when they are older than `now`;
 * 2. resumable downloads go a week after they last grew, and a name's folder with its last one;
 * 3. blobs without a name (the process died between moving a file in and naming it) go a week later: until then a pull
 *    that expects their digest takes them as they are. None goes when `named` is null.
 */
export async function sweep(
  folders: Folders,
  named: ReadonlySet<string> | null,
  now: number,
  log: Logger,
): Promise<void> {
  const drop = (path: string, olderThan: number) => dropOlder(path, olderThan, log);
  await dropHalfWritten(folders.manifests, now, log);
  for (const name of await readdir(folders.partial)) {
    const folder = join(folders.partial, name);
    for (const entry of await entries(folder)) {
      await drop(join(folder, entry), entry.startsWith(temporaryPrefix) ? now : now - keptMs);
    }
    await dropEmpty(folder);
  }
  for (const blob of await readdir(folders.blobs)) {
    const sha256 = blob.replace(/^sha256-/, '');
    if (named && !named.has(sha256)) await drop(join(folders.blobs, blob), now - keptMs);
  }
}

/** Clears files that an earlier process was killed in the middle of writing from a folder, which need not be there. */
export async function dropHalfWritten(folder: string, now: number, log: Logger): Promise<void> {
  for (const file of await readdir(folder).catch(() => [])) {
    if (isHalfWritten(file)) await dropOlder(join(folder, file), now, log);
  }
}

async function dropOlder(path: string, than: number, log: Logger): Promise<void> {
  if ((await modified(path)) >= than) return;
  await rm(path, { recursive: true, force: true });
  log.info('leftover removed', { path });
}

/** Milliseconds since the epoch; what has gone meanwhile counts as new, so that nobody removes it twice. */
async function modified(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

async function entries(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return [];
    throw error;
  }
}

async function dropEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    // Resumable downloads are in it, or it is no folder at all: then it is not ours to judge.
    if (!['ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'ENOENT'].includes(systemCode(error) ?? '')) throw error;
  }
}
