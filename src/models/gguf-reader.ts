import type { FileHandle } from 'node:fs/promises';
import { Fault } from '#kernel/faults';

/** What a header may hold at most. Real files stay far below; a hostile one is refused before it costs memory. */
export const bounds = {
  /** Bytes of metadata and tensor infos together: the largest vocabularies known take about 20 MiB. */
  header: 64 * 2 ** 20,
  pairs: 65_536,
  tensors: 262_144,
  /** The format's own limit on keys. */
  key: 65_535,
  /** A chat template is the longest string kept; known ones stay below 64 KiB. */
  text: 2 ** 20,
  /** Sixteen times the largest vocabularies known. */
  elements: 2 ** 22,
  depth: 4,
  dimensions: 8,
} as const;

/** Reads a GGUF header forwards in chunks. Each method throws BAD_REQUEST, naming file and field, past its end or a bound. */
export interface HeaderReader {
  readonly position: number;
  /** What is read from here on, for messages: `"llama.block_count"`. */
  about(field: string): void;
  fail(reason: string): never;
  u8(): Promise<number>;
  u16(): Promise<number>;
  u32(): Promise<number>;
  /** A 64-bit count or offset as a number; refused above 2^53, which no file reaches. */
  u64(): Promise<number>;
  i8(): Promise<number>;
  i16(): Promise<number>;
  i32(): Promise<number>;
  /** May lose precision above 2^53; only metadata that nothing here computes with is signed and that wide. */
  i64(): Promise<number>;
  f32(): Promise<number>;
  f64(): Promise<number>;
  text(limit: number): Promise<string>;
  /** Passes over bytes without reading them from the disk where it can. */
  skip(bytes: number): Promise<void>;
}

const chunkBytes = 256 * 1024;

/** Throws what is wrong with a file, and in which field of its header. */
export function unusable(file: string, field: string, reason: string): never {
  throw new Fault('BAD_REQUEST', `${file} is not a usable GGUF file: ${reason} (at ${field}).`, {
    details: { file, field },
  });
}

export function headerReader(handle: FileHandle, file: string, fileBytes: number): HeaderReader {
  let buffer = Buffer.alloc(0);
  let start = 0;
  let at = 0;

  let field = 'the beginning';
  const fail = (reason: string): never => unusable(file, field, reason);

  /** Makes the next `bytes` available at `at`. */
  const need = async (bytes: number): Promise<void> => {
    if (at + bytes <= buffer.length) return;
    const position = start + at;
    if (position + bytes > fileBytes) fail(`it ends at byte ${fileBytes}, inside its header`);
    if (position + bytes > bounds.header) fail(`its header is longer than ${bounds.header} bytes`);
    const size = Math.min(Math.max(bytes, chunkBytes), fileBytes - position);
    const next = Buffer.alloc(size);
    let filled = 0;
    while (filled < size) {
      const { bytesRead } = await handle.read(next, filled, size - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    if (filled < bytes) fail(`it ends at byte ${position + filled}, inside its header`);
    [buffer, start, at] = [next.subarray(0, filled), position, 0];
  };

  const fixed = async <T>(bytes: number, read: (from: Buffer, offset: number) => T): Promise<T> => {
    // Awaiting costs a turn of the queue, and a vocabulary has hundreds of thousands of items.
    if (at + bytes > buffer.length) await need(bytes);
    const value = read(buffer, at);
    at += bytes;
    return value;
  };

  const wide = (value: bigint): number =>
    value > BigInt(Number.MAX_SAFE_INTEGER) ? fail('a count in it is impossibly large') : Number(value);

  const reader: HeaderReader = {
    get position() {
      return start + at;
    },
    about: (what) => void (field = what),
    fail,
    u8: () => fixed(1, (from, offset) => from.readUInt8(offset)),
    u16: () => fixed(2, (from, offset) => from.readUInt16LE(offset)),
    u32: () => fixed(4, (from, offset) => from.readUInt32LE(offset)),
    u64: () => fixed(8, (from, offset) => wide(from.readBigUInt64LE(offset))),
    i8: () => fixed(1, (from, offset) => from.readInt8(offset)),
    i16: () => fixed(2, (from, offset) => from.readInt16LE(offset)),
    i32: () => fixed(4, (from, offset) => from.readInt32LE(offset)),
    i64: () => fixed(8, (from, offset) => Number(from.readBigInt64LE(offset))),
    f32: () => fixed(4, (from, offset) => from.readFloatLE(offset)),
    f64: () => fixed(8, (from, offset) => from.readDoubleLE(offset)),
    async text(limit) {
      const length = await reader.u64();
      if (length > limit) fail(`a text in it has ${length} bytes, more than ${limit}`);
      return fixed(length, (from, offset) => from.toString('utf8', offset, offset + length));
    },
    async skip(bytes) {
      const target = start + at + bytes;
      if (target > fileBytes) fail(`it ends at byte ${fileBytes}, inside its header`);
      if (target > bounds.header) fail(`its header is longer than ${bounds.header} bytes`);
      if (at + bytes <= buffer.length) at += bytes;
      else [buffer, start, at] = [Buffer.alloc(0), target, 0];
    },
  };
  return reader;
}
