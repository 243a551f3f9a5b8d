import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiJobOutput } from '#contracts/jobs-api';
import { sleep } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { systemCode } from '#kernel/faults';

/** The files of a run, in the folder that it has. */
export const runFiles = (folder: string) => ({
  stdout: join(folder, 'stdout'),
  stderr: join(folder, 'stderr'),
  stdin: join(folder, 'stdin'),
  work: join(folder, 'work'),
  temporary: join(folder, 'tmp'),
});

const chunkBytes = 64 * 1024;
/** Milliseconds between looks at the files. A pipe would tell at once, but would end with the platform, and the tool with it. */
const lookMs = 50;

export interface Following {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Whether nothing more is written. */
  readonly isOver: () => boolean;
}

/** Everything that a run wrote and writes, from the first byte to its end, as text: what is no UTF-8 is replaced. */
export async function* followOutput(folder: string, { clock, signal, isOver }: Following): AsyncIterable<ApiJobOutput> {
  const files = runFiles(folder);
  const readers = (['stdout', 'stderr'] as const).map((stream) => createReader(stream, files[stream]));
  try {
    while (!signal.aborted) {
      // Asked before the last look: what was written until then is seen by it.
      const over = isOver();
      let seen = false;
      for (const reader of readers) {
        for (let piece = await reader.next(); piece !== null && !signal.aborted; piece = await reader.next()) {
          seen = true;
          if (piece.text !== '') yield piece;
        }
      }
      if (seen) continue;
      if (over) break;
      await sleep(clock, lookMs, signal).catch(() => undefined);
    }
    for (const reader of readers) {
      const rest = reader.rest();
      if (rest.text !== '') yield rest;
    }
  } finally {
    for (const reader of readers) await reader.close();
  }
}

function createReader(stream: ApiJobOutput['stream'], file: string) {
  const decoder = new TextDecoder();
  const buffer = Buffer.alloc(chunkBytes);
  let handle: FileHandle | null = null;
  let at = 0;
  return {
    /** Null while there is nothing more. */
    async next(): Promise<ApiJobOutput | null> {
      handle ??= await openMaybe(file);
      if (!handle) return null;
      const { bytesRead } = await handle.read(buffer, 0, chunkBytes, at);
      at += bytesRead;
      return bytesRead === 0 ? null : { stream, text: decoder.decode(buffer.subarray(0, bytesRead), { stream: true }) };
    },
    /** What was left of a character. */
    rest: (): ApiJobOutput => ({ stream, text: decoder.decode() }),
    close: async () => handle?.close(),
  };
}

async function openMaybe(file: string): Promise<FileHandle | null> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}
