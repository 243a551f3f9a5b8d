import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { Fault, systemCode } from '#kernel/faults';
import { checkFacts } from './gguf-checks.ts';
import { bounds, headerReader } from './gguf-reader.ts';
import type { HeaderReader } from './gguf-reader.ts';
import { ggufFacts } from './gguf-facts.ts';
import type { GgufFacts } from './gguf-facts.ts';
import { tensorBytes } from './gguf-types.ts';

/** A value of the header. A long array is kept as its length alone: vocabularies have hundreds of thousands of items. */
export type MetaValue = string | number | boolean | readonly (number | boolean)[] | { readonly length: number };

/** The header's metadata, read by type: undefined when the key is missing or holds something else. */
export interface Metadata {
  readonly keys: readonly string[];
  number(key: string): number | undefined;
  text(key: string): string | undefined;
  flag(key: string): boolean | undefined;
  /** Items of a short array of numbers or booleans; a single number is an array of one. */
  items(key: string): readonly number[] | undefined;
  /** How many items an array of any length has. */
  length(key: string): number | undefined;
}

export interface TensorInfo {
  readonly name: string;
  /** Elements along each dimension, the fastest first, as ggml has it. */
  readonly shape: readonly number[];
  /** ggml's number of the type (`gguf-types.ts`). */
  readonly type: number;
  /** Null when the type is newer than the table. */
  readonly bytes: number | null;
}

/** The header of a GGUF file: what the model is and what it weighs, without its weights. */
export interface Gguf extends GgufFacts {
  readonly path: string;
  readonly version: number;
  readonly fileBytes: number;
  readonly metadata: Metadata;
  readonly tensors: readonly TensorInfo[];
}

/** An array this long or shorter is kept: one number a layer, never a vocabulary. */
const keptItems = 1024;

/**
 * Reads the header of a GGUF file, version 2 or 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Memory and
 * time are bounded whatever the file says. Throws BAD_REQUEST when it is not one, is damaged or ends before its last
 * tensor does; NOT_FOUND when there is no such file. Messages call it `shown`.
 */
export async function readGguf(path: string, shown = path): Promise<Gguf> {
  const handle = await open(path, 'r').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') throw new Fault('NOT_FOUND', `There is no file ${path}.`, { cause: error });
    throw error;
  });
  try {
    return await readHeader(handle, path, shown);
  } finally {
    await handle.close();
  }
}

async function readHeader(handle: FileHandle, path: string, shown: string): Promise<Gguf> {
  const { size: fileBytes } = await handle.stat();
  const reader = headerReader(handle, shown, fileBytes);
  if ((await reader.u32()) !== 0x46554747) reader.fail('it does not begin with "GGUF"');
  const version = await reader.u32();
  if (version !== 2 && version !== 3) {
    reader.fail(version > 0xffff ? 'it is written for big-endian machines' : `its version ${version} is not known`);
  }
  reader.about('the count of tensors');
  const tensorCount = await counted(reader, 'tensors', bounds.tensors);
  reader.about('the count of metadata keys');
  const pairCount = await counted(reader, 'metadata keys', bounds.pairs);
  const metadata = await readMetadata(reader, pairCount);
  const tensors = await readTensors(reader, tensorCount, metadata.number('general.alignment') ?? 32, fileBytes);
  checkFacts(metadata, shown);
  reader.about('"general.architecture"');
  const facts = ggufFacts(metadata, tensors);
  if (facts === null) return reader.fail('it does not say its architecture');
  return { path, version, fileBytes, metadata, tensors, ...facts };
}

async function counted(reader: HeaderReader, what: string, limit: number): Promise<number> {
  const count = await reader.u64();
  return count > limit ? reader.fail(`it claims ${count} ${what}, more than ${limit}`) : count;
}

async function readMetadata(reader: HeaderReader, count: number): Promise<Metadata> {
  const values = new Map<string, MetaValue>();
  for (let i = 0; i < count; i++) {
    reader.about(`metadata key ${i + 1} of ${count}`);
    const key = await reader.text(bounds.key);
    reader.about(printable(key));
    values.set(key, await readValue(reader, await reader.u32(), 0));
  }
  return metadataOf(values);
}

/** Readers of the fixed-size value types, by the number the format gives them (`gguf_metadata_value_type`). */
const scalars: Readonly<
  Record<number, { readonly bytes: number; read(from: HeaderReader): Promise<number | boolean> }>
> = {
  0: { bytes: 1, read: (from) => from.u8() },
  1: { bytes: 1, read: (from) => from.i8() },
  2: { bytes: 2, read: (from) => from.u16() },
  3: { bytes: 2, read: (from) => from.i16() },
  4: { bytes: 4, read: (from) => from.u32() },
  5: { bytes: 4, read: (from) => from.i32() },
  6: { bytes: 4, read: (from) => from.f32() },
  7: { bytes: 1, read: async (from) => (await from.u8()) !== 0 },
  10: { bytes: 8, read: (from) => from.u64() },
  11: { bytes: 8, read: (from) => from.i64() },
  12: { bytes: 8, read: (from) => from.f64() },
};
const textType = 8;
const arrayType = 9;

async function readValue(reader: HeaderReader, type: number, depth: number): Promise<MetaValue> {
  if (type === textType) return reader.text(bounds.text);
  if (type === arrayType) return readArray(reader, depth + 1);
  const scalar = scalars[type];
  return scalar ? scalar.read(reader) : reader.fail(`it holds a value of the unknown type ${type}`);
}

async function readArray(reader: HeaderReader, depth: number): Promise<MetaValue> {
  if (depth > bounds.depth) reader.fail(`its arrays are nested deeper than ${bounds.depth}`);
  const type = await reader.u32();
  const length = await counted(reader, 'items in an array', bounds.elements);
  const scalar = scalars[type];
  if (scalar && length <= keptItems) {
    const items: (number | boolean)[] = [];
    for (let i = 0; i < length; i++) items.push(await scalar.read(reader));
    return items;
  }
  if (scalar) await reader.skip(length * scalar.bytes);
  else if (type === textType) for (let i = 0; i < length; i++) await reader.skip(await reader.u64());
  else for (let i = 0; i < length; i++) await readValue(reader, type, depth);
  return { length };
}

function metadataOf(values: ReadonlyMap<string, MetaValue>): Metadata {
  const typed = <T extends 'number' | 'string' | 'boolean'>(key: string, type: T) => {
    const value = values.get(key);
    return typeof value === type ? value : undefined;
  };
  return {
    keys: [...values.keys()],
    number: (key) => typed(key, 'number') as number | undefined,
    text: (key) => typed(key, 'string') as string | undefined,
    flag: (key) => typed(key, 'boolean') as boolean | undefined,
    items(key) {
      const value = values.get(key);
      if (typeof value === 'number') return [value];
      return Array.isArray(value) ? (value as readonly (number | boolean)[]).map(Number) : undefined;
    },
    length(key) {
      const value = values.get(key);
      return typeof value === 'object' ? value.length : undefined;
    },
  };
}

async function readTensors(
  reader: HeaderReader,
  count: number,
  alignment: number,
  fileBytes: number,
): Promise<readonly TensorInfo[]> {
  reader.about('"general.alignment"');
  if (!Number.isInteger(alignment) || alignment < 1 || alignment > 2 ** 20)
    reader.fail(`its alignment is ${alignment}`);
  const tensors: TensorInfo[] = [];
  let end = 0;
  for (let i = 0; i < count; i++) {
    reader.about(`tensor ${i + 1} of ${count}`);
    const { offset, ...tensor } = await readTensor(reader);
    if (offset % alignment !== 0) reader.fail(`it begins at ${offset}, which is no multiple of ${alignment}`);
    end = Math.max(end, offset + (tensor.bytes ?? 0));
    if (end > fileBytes) reader.fail(`it ends ${end} bytes into the weights, and the whole file has ${fileBytes}`);
    tensors.push(tensor);
  }
  const needed = Math.ceil(reader.position / alignment) * alignment + end;
  // A download that was cut looks whole to whoever reads only the header: here it is found before it crashes an engine.
  if (end > 0 && needed > fileBytes)
    reader.fail(`it is cut short: its tensors need ${needed} bytes and it has ${fileBytes}`);
  return tensors;
}

async function readTensor(reader: HeaderReader): Promise<TensorInfo & { readonly offset: number }> {
  const name = await reader.text(bounds.key);
  reader.about(`tensor ${printable(name)}`);
  const dimensions = await reader.u32();
  if (dimensions > bounds.dimensions) reader.fail(`it has ${dimensions} dimensions, more than ${bounds.dimensions}`);
  const shape: number[] = [];
  for (let d = 0; d < dimensions; d++) shape.push(await reader.u64());
  const type = await reader.u32();
  const offset = await reader.u64();
  const bytes = tensorBytes(shape, type);
  const elements = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(elements) || !Number.isSafeInteger(bytes ?? 0)) reader.fail('it is impossibly large');
  return { name, shape, type, bytes, offset };
}

const printable = (name: string): string => JSON.stringify(name.slice(0, 80));
