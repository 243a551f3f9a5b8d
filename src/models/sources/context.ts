import type { FileHandle } from 'node:fs/promises';
import type { OnProgress } from '#contracts/models';
import type { Clock } from '#kernel/clock';
import type { Logger } from '#kernel/logger';
import type { FreeBytes } from '../files.ts';
import type { Http } from '../http.ts';

/** What a source works with. All of it is the pull's; a source closes none of it. */
export interface SourceContext {
  /** A folder in the store's partial area: everything a source writes goes there. */
  readonly folder: string;
  /**
   * Does work that others may be doing for another name at this moment: by its key, `sha256-<hex>` where the digest is
   * known, it is done once, and all hear its progress. What it fetched is in the store afterwards. The work gets the
   * key's own folder, which is kept over failures. A file that is here already under that digest is taken as it is.
   */
  once(key: string, work: (context: SourceContext) => Promise<Fetched>): Promise<Fetched>;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
  readonly clock: Clock;
  readonly log: Logger;
  readonly http: Http;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly free: FreeBytes;
  readonly write: WriteChunk;
  /** About how many bytes the model has, where its definition says so. */
  readonly size: number | undefined;
}

/** Writes all of a chunk at a place in a file. A seam, so that a test can fill the disk. */
export type WriteChunk = (handle: FileHandle, chunk: Uint8Array, position: number) => Promise<void>;

export const writeChunk: WriteChunk = async (handle, chunk, position) => {
  for (let done = 0; done < chunk.length;) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position + done);
    done += bytesWritten;
  }
};

/** A whole file in the context's folder or in the store, with the digest of the bytes as they were written. */
export interface Fetched {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** One kind of source. Throws a Fault whose message says why it could not deliver, without secrets. */
export type FetchSource<S> = (source: S, context: SourceContext) => Promise<Fetched>;
