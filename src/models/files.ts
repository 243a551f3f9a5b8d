import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { Fault, systemCode } from '#kernel/faults';
import { formatBytes } from '#kernel/quantities';

/** Writes a small file so that a reader, or a machine that lost power, sees the old content or the new one, never half. */
export async function writeAtomic(path: string, content: string, sync: Sync = syncToDisk): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, content, { mode: 0o600 });
    await sync(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Whether a file is what `writeAtomic` was writing when its process was killed, or is writing now. */
export const isHalfWritten = (file: string): boolean => /\.\d+\.tmp$/.test(file);

/** Makes what was written to a file or a folder's entries survive a loss of power. */
export type Sync = (path: string) => Promise<void>;

export const syncToDisk: Sync = async (path) => {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** The size of a file; null when there is none. */
export async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/** The SHA-256 of a file's bytes; `onBytes` hears of each chunk. */
export async function hashFile(
  path: string,
  signal?: AbortSignal,
  onBytes?: (bytes: number) => void,
): Promise<{ readonly sha256: string; readonly bytes: number }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20, ...(signal && { signal }) })) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    onBytes?.((chunk as Buffer).length);
  }
  return { sha256: hash.digest('hex'), bytes };
}

/** Bytes that this user may still write to the file system a folder is on. */
export type FreeBytes = (folder: string) => Promise<number>;

export const freeBytes: FreeBytes = async (folder) => {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
};

/** Left alone when deciding whether a model fits: what the platform's own state and logs write meanwhile. */
const spared = 32 * 2 ** 20;

/** Throws DISK_FULL with the bytes on both sides when `needed` more bytes would not fit. */
export async function ensureSpace(folder: string, needed: number, what: string, free: FreeBytes): Promise<void> {
  const available = await free(folder);
  if (available < needed + spared) throw diskFull(folder, needed, available, what);
}

export function diskFull(
  folder: string,
  needed: number | undefined,
  free: number,
  what: string,
  cause?: unknown,
): Fault {
  const need = needed === undefined ? '' : ` needs ${formatBytes(needed)} (${needed} bytes), and`;
  return new Fault(
    'DISK_FULL',
    `The disk is full: ${what}${need || ' found'} ${formatBytes(free)} (${free} bytes) free at ${folder}. Free some space and ask again.`,
    { details: { folder, free, ...(needed !== undefined && { needed }) }, ...(cause !== undefined && { cause }) },
  );
}

export const isDiskFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(systemCode(error) ?? '');
