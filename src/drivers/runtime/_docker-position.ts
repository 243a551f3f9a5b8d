import { readFile, rename, truncate, writeFile } from 'node:fs/promises';
import { sizeOf } from '#kernel/file-size';

/**
 * What is about to be appended to a log, written down before: after a kill at any moment the sizes of the file tell whether
 * it was. A time of the file itself would be set after the append, and a kill between the two would have the lines twice.
 */
export interface Position {
  /** The instance whose output it is: one file has those of many. */
  readonly instance: string;
  /** The time of the last line before, and of the last one with what is appended: nanoseconds since the epoch. */
  readonly from: bigint;
  readonly to: bigint;
  /** The bytes of the file before, and of what is appended. */
  readonly size: number;
  readonly bytes: number;
}

export interface Sizes {
  readonly file: number;
  /** Of what was cut from the file (`runtime/logs.ts`); null where nothing was. */
  readonly cut: number | null;
}

export interface Resume {
  /** The time until which lines are in the file. */
  readonly since: bigint;
  /** Bytes at its end that are the beginning of lines which come again. */
  readonly torn: number;
}

/**
 * Where to go on:
 * 1. a file as large as before or larger was not cut, and what it is larger by was appended;
 * 2. one that was cut when it was as large as before has what was appended since;
 * 3. one that was cut when it was larger had it all.
 */
export function resumeAt({ from, to, size, bytes }: Position, { file, cut }: Sizes): Resume {
  const appended = file >= size ? file - size : cut === size ? file : bytes; // 1, 2, 3
  return appended >= bytes ? { since: to, torn: 0 } : { since: from, torn: appended };
}

const positionFile = (logFile: string): string => `${logFile}.position`;

/** Appends what was read until `to`, so that a kill at any moment leaves it known whether that was done. */
export async function appendKnown(
  logFile: string,
  text: Buffer,
  known: Pick<Position, 'instance' | 'from' | 'to'>,
  append: (text: Buffer) => Promise<void>,
): Promise<void> {
  const { from, to, instance } = known;
  const size = (await sizeOf(logFile)) ?? 0;
  const written = JSON.stringify({ instance, from: String(from), to: String(to), size, bytes: text.length });
  const next = `${positionFile(logFile)}.new`;
  await writeFile(next, written, { mode: 0o600 });
  await rename(next, positionFile(logFile));
  await append(text);
}

/** The time until which an instance's lines are in the file, in nanoseconds; 0 where none are. Half a line that a kill left goes. */
export async function lastWritten(logFile: string, instance: string): Promise<bigint> {
  const position = await readPosition(positionFile(logFile));
  const file = await sizeOf(logFile);
  if (position?.instance !== instance || file === null) return 0n;
  const { since, torn } = resumeAt(position, { file, cut: await sizeOf(`${logFile}.1`) });
  if (torn > 0) await truncate(logFile, file - torn);
  return since;
}

/** Null where there is none, or none that can be read. */
async function readPosition(file: string): Promise<Position | null> {
  const text = await readFile(file, 'utf8').catch(() => '');
  try {
    const { instance, from, to, size, bytes } = JSON.parse(text) as Record<'from' | 'to', string> & Position;
    return { instance, from: BigInt(from), to: BigInt(to), size, bytes };
  } catch {
    return null;
  }
}
