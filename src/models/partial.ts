import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { writeAtomic } from './files.ts';
import type { WriteChunk } from './sources/context.ts';

/** What identifies the bytes on the server, so that a later request continues the same file and no other. */
export interface Origin {
  /** A strong ETag, or else a Last-Modified: the value of `If-Range` (RFC 9110, section 13.1.5). */
  readonly validator?: string;
  /** Bytes of the whole file, when the server said. */
  readonly total?: number;
}

/** A file that is being fetched: its bytes on the disk and the digest of them. */
export interface Partial {
  readonly have: number;
  readonly origin: Origin;
  /** True when some of the bytes were written by an earlier request. */
  readonly resumed: boolean;
  append(chunk: Uint8Array): Promise<void>;
  /** Drops the bytes: the ones that follow are the beginning of the file that `origin` identifies. */
  restart(origin: Origin): Promise<void>;
  continues(): void;
  /** The digest of the bytes so far. */
  sha256(): string;
  close(): Promise<void>;
  /** Closes and deletes everything of it. */
  discard(): Promise<void>;
}

export interface PartialOptions {
  readonly file: string;
  /** Bytes that nothing identifies are only worth keeping when the whole file's digest is known. */
  readonly verifiable: boolean;
  readonly write: WriteChunk;
  readonly signal: AbortSignal;
  /** Hears of the bytes that are read again from the disk for their digest. */
  readonly onHashed: (bytes: number) => void;
}

/** Opens the partial file, new or left by an earlier pull; `<file>.json` beside it says what it is a part of. */
export async function openPartial({ file, verifiable, write, signal, onHashed }: PartialOptions): Promise<Partial> {
  const facts = `${file}.json`;
  let origin = await readOrigin(facts);
  const handle = await open(file, 'a+').then(async (created) => {
    await created.close();
    return open(file, 'r+');
  });
  let hash = createHash('sha256');
  let have = 0;
  let resumed = false;
  try {
    if (origin && (origin.validator !== undefined || verifiable)) have = await rehash(file, hash, signal, onHashed);
    else await handle.truncate(0);
    resumed = have > 0;
  } catch (error) {
    await handle.close();
    throw error;
  }
  return {
    get have() {
      return have;
    },
    get origin() {
      return origin ?? {};
    },
    get resumed() {
      return resumed;
    },
    async append(chunk) {
      await write(handle, chunk, have);
      hash.update(chunk);
      have += chunk.length;
    },
    async restart(next) {
      await handle.truncate(0);
      [hash, have, resumed, origin] = [createHash('sha256'), 0, false, next];
      // Unsynced: lost with the power, it only means a download from the beginning.
      await writeAtomic(facts, JSON.stringify(next), async () => undefined);
    },
    continues() {
      resumed = true;
    },
    sha256: () => hash.copy().digest('hex'),
    close: () => closeOnce(handle),
    async discard() {
      await closeOnce(handle);
      await rm(file, { force: true });
      await rm(facts, { force: true });
    },
  };
}

const closed = new WeakSet<FileHandle>();

async function closeOnce(handle: FileHandle): Promise<void> {
  if (closed.has(handle)) return;
  closed.add(handle);
  await handle.close();
}

async function rehash(
  file: string,
  hash: Hash,
  signal: AbortSignal,
  onHashed: (bytes: number) => void,
): Promise<number> {
  let bytes = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20, signal })) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    onHashed(bytes);
  }
  return bytes;
}

/** Null when there is none or it can not be read: the bytes beside it are then of unknown origin. */
async function readOrigin(path: string): Promise<Origin | null> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    if (typeof value !== 'object' || value === null) return null;
    const { validator, total } = value as Readonly<Record<string, unknown>>;
    return {
      ...(typeof validator === 'string' && { validator }),
      ...(typeof total === 'number' && Number.isSafeInteger(total) && total >= 0 && { total }),
    };
  } catch {
    return null;
  }
}
