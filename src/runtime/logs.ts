import { watch } from 'node:fs';
import { copyFile, open, truncate, type FileHandle } from 'node:fs/promises';
import type { Clock } from '#kernel/clock';
import { systemCode } from '#kernel/faults';
import { sizeOf } from '#kernel/file-size';
import { createChannel } from '#kernel/channel';
import { stripVTControlCharacters } from 'node:util';

export interface LogsOptions {
  readonly clock: Clock;
  /** The size, in bytes, from which a log is cut. 4 MiB without it; on disk there is at most about twice as much. */
  readonly maxBytes?: number;
}

export interface FollowOptions {
  /** Ends the following; the iterable then simply ends. */
  readonly signal: AbortSignal;
  /** How many of the lines already there come first. 0 without it. */
  readonly lines?: number;
}

/** The log files of instances: bounded, read from the end, followed. A file that isn't there reads as empty. */
export interface Logs {
  /**
   * Cuts the file when it has grown too large: its content moves to `<file>.1` and it starts anew. To be called now and
   * then for each log; cheap when there is nothing to do. An instance goes on writing meanwhile (O_APPEND), and what it
   * writes between the copy and the cut, a matter of milliseconds, is lost. True when it was cut.
   */
  bound(file: string): Promise<boolean>;
  /** The last lines, the oldest first. */
  tail(file: string, lines: number): Promise<string[]>;
  /** Lines as they are written, through cuts and through the file being made anew. */
  follow(file: string, options: FollowOptions): AsyncIterable<string>;
  /** The end of a log for an error message: whole lines as far as they fit, without colours and empty lines. */
  excerpt(file: string, limits?: { readonly lines?: number; readonly bytes?: number }): Promise<string>;
}

const chunkBytes = 64 * 1024;
/** A line longer than this is given in pieces: a service that never ends its line must not fill our memory. */
const lineBytes = 64 * 1024;
/** How far back `tail` looks. */
const tailBytes = 2 * 2 ** 20;
/** Where the system doesn't tell of changes (some network file systems), they are seen this late. */
const pollMs = 500;
const newline = 0x0a;

export function createLogs({ clock, maxBytes = 4 * 2 ** 20 }: LogsOptions): Logs {
  const cuts = createChannel<{ readonly file: string; readonly bytes: number }>();
  // A cut and a follower's reading never overlap: a size asked for before it would place the reader in a file that is gone.
  const alone = createTurns();
  const cut = async (file: string): Promise<boolean> => {
    await copyFile(file, `${file}.1`);
    const bytes = (await sizeOf(`${file}.1`)) ?? 0;
    await truncate(file, 0);
    cuts.publish({ file, bytes });
    return true;
  };
  return {
    async bound(file) {
      const size = await sizeOf(file);
      return size !== null && size > maxBytes && (await alone(file, () => cut(file)));
    },

    tail: (file, lines) => lastLines(file, lines),

    async *follow(file, { signal, lines = 0 }) {
      const start = await alone(file, () => endOfLastLine(file));
      const cursor = createCursor(file, start);
      const changes = createChanges(clock, file, signal);
      const stopCuts = cuts.listen((done) => {
        if (done.file !== file) return;
        cursor.cutAt(done.bytes);
        changes.wake();
      });
      try {
        yield* await lastLines(file, lines, start);
        while (!signal.aborted) {
          const read = await alone(file, () => cursor.read());
          yield* read;
          if (read.length === 0) await changes.next();
        }
      } finally {
        stopCuts();
        changes.close();
      }
    },

    async excerpt(file, { lines = 12, bytes = 2_000 } = {}) {
      const found = (await lastLines(file, lines * 2)).map(plain).filter((line) => line.trim() !== '');
      return endOf(found.slice(-lines).join('\n'), bytes);
    },
  };
}

/** At most so many bytes from the end of a text, begun at a line where there is one. */
function endOf(text: string, bytes: number): string {
  const all = Buffer.from(text);
  if (all.length <= bytes) return text;
  const end = all.subarray(all.length - bytes);
  // The whole last line is better cut than left out.
  const line = end.indexOf(newline) + 1;
  return end
    .subarray(line)
    .toString('utf8')
    .replace(/^\uFFFD+/, '');
}

/** Runs what is asked for one file one after the other. */
function createTurns() {
  const last = new Map<string, Promise<unknown>>();
  return async <T>(file: string, work: () => Promise<T>): Promise<T> => {
    const turn = (last.get(file) ?? Promise.resolve()).then(work, work);
    last.set(file, turn);
    try {
      return await turn;
    } finally {
      if (last.get(file) === turn) last.delete(file);
    }
  };
}

/** Text for people: no colours, no cursor movements, and of a line that was drawn over and over only its last state. */
export const plain = (line: string): string =>
  stripVTControlCharacters(line)
    .replace(/\r+$/, '')
    .replace(/^[^]*\r/, '')
    // A terminal would obey what is left of them.
    .replace(/(?!\t)\p{Cc}/gu, '');

async function withFile<T>(file: string, absent: T, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return absent;
    throw error;
  }
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

/** The last lines before `end`, those of the part that was cut off included. */
async function lastLines(file: string, lines: number, end?: number): Promise<string[]> {
  const found = await readBackwards(file, lines, end);
  return found.length >= lines ? found : [...(await readBackwards(`${file}.1`, lines - found.length)), ...found];
}

/** From the end backwards, so that a large log costs no more than a small one. */
function readBackwards(file: string, lines: number, end = Infinity): Promise<string[]> {
  return withFile<string[]>(file, [], async (handle) => {
    let position = Math.min(end, (await handle.stat()).size);
    const stopAt = Math.max(0, position - tailBytes);
    let bytes = Buffer.alloc(0);
    // One newline more than lines: the one before the first line wanted, or else that line may be cut.
    while (position > stopAt && countNewlines(bytes) <= lines) {
      const from = Math.max(stopAt, position - chunkBytes);
      bytes = Buffer.concat([await readAt(handle, from, position - from), bytes]);
      position = from;
    }
    return lines > 0 ? splitLines(bytes).slice(-lines) : [];
  });
}

/** Where the line begins that is being written just now. */
function endOfLastLine(file: string): Promise<number> {
  return withFile(file, 0, async (handle) => {
    const { size } = await handle.stat();
    const from = Math.max(0, size - lineBytes);
    const at = (await readAt(handle, from, size - from)).lastIndexOf(newline);
    return at >= 0 ? from + at + 1 : from;
  });
}

function splitLines(bytes: Buffer): string[] {
  const text = bytes.toString('utf8');
  return text === '' ? [] : (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
}

async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, at + 1)) count++;
  return count;
}

/** A place in a growing file. Its unfinished last line is kept back until it ends. */
function createCursor(file: string, start: number) {
  let position = start;
  let partial = Buffer.alloc(0);
  const cutsAt: number[] = [];
  /** Null when there is nothing more up to `end`. */
  const next = async (path: string, end: number): Promise<string[] | null> => {
    const length = Math.min(chunkBytes, end - position);
    const bytes =
      length > 0
        ? await withFile(path, Buffer.alloc(0), (handle) => readAt(handle, position, length))
        : Buffer.alloc(0);
    if (bytes.length === 0) return null;
    position += bytes.length;
    const all = Buffer.concat([partial, bytes]);
    const complete = all.lastIndexOf(newline) + 1 || (all.length > lineBytes ? all.length : 0);
    partial = all.subarray(complete);
    return splitLines(all.subarray(0, complete));
  };
  const readFile = async (): Promise<string[] | null> => {
    const size = (await sizeOf(file)) ?? 0;
    if (size < position) {
      // Cut or made anew by someone else: what it held is gone, what it holds now is new.
      position = 0;
      partial = Buffer.alloc(0);
    }
    return next(file, size);
  };
  return {
    cutAt: (bytes: number) => void cutsAt.push(bytes),
    /** The next lines; none when there is nothing new. */
    async read(): Promise<string[]> {
      for (;;) {
        const cut = cutsAt[0];
        // Only the last cut's copy is still there: of the ones before nothing is left to read.
        const isLost = cutsAt.length > 1;
        const lines = cut === undefined ? await readFile() : isLost ? null : await next(`${file}.1`, cut);
        if (lines && lines.length > 0) return lines;
        if (lines === null && cut === undefined) return [];
        if (lines === null) {
          cutsAt.shift();
          position = 0;
        }
      }
    },
  };
}

/** Resolves `next` when the file may have changed: told by the system, or when the time to look anyway has come. */
function createChanges(clock: Clock, file: string, signal: AbortSignal) {
  let changed = false;
  let resolve: (() => void) | undefined;
  const wake = () => {
    changed = true;
    resolve?.();
  };
  let stopWatching = watchFile(file, wake);
  signal.addEventListener('abort', wake, { once: true });
  return {
    wake,
    async next(): Promise<void> {
      const cancel = clock.after(pollMs, wake);
      // It may not have been there before, or be another file by now.
      stopWatching ??= watchFile(file, wake);
      if (!changed) await new Promise<void>((done) => (resolve = done));
      cancel();
      changed = false;
      resolve = undefined;
    },
    close() {
      signal.removeEventListener('abort', wake);
      stopWatching?.();
    },
  };
}

function watchFile(file: string, onChange: () => void): (() => void) | undefined {
  try {
    const watcher = watch(file, { persistent: false }, onChange);
    // Out of watches, or the file is gone: looking now and then goes on.
    watcher.on('error', () => watcher.close());
    return () => watcher.close();
  } catch {
    return undefined;
  }
}
