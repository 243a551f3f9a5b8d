import { writeFile } from 'node:fs/promises';

/** A value of a header: a number is 32-bit unsigned, `{ float }` 32-bit, `{ long }` 64-bit; arrays hold one kind. */
export type FakeValue =
  | string
  | number
  | boolean
  | { readonly float: number }
  | { readonly long: number }
  | readonly string[]
  | readonly number[]
  | readonly boolean[];

export interface FakeTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** ggml's number of the type; F32 when left out. */
  readonly type?: number;
  /** Bytes of data to write; those of an F32 tensor when left out. */
  readonly bytes?: number;
}

export interface FakeGguf {
  readonly version?: number;
  readonly metadata?: Readonly<Record<string, FakeValue>>;
  readonly tensors?: readonly FakeTensor[];
}

const u32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
};

export const u64 = (value: number | bigint): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
};

const float = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return buffer;
};

export const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

/** The number of a value's type and its bytes. */
function encode(value: FakeValue): readonly [number, Buffer] {
  if (typeof value === 'string') return [8, text(value)];
  if (typeof value === 'number') return [4, u32(value)];
  if (typeof value === 'boolean') return [7, Buffer.from([value ? 1 : 0])];
  if (!Array.isArray(value)) {
    const wide = value as { readonly float: number } | { readonly long: number };
    return 'float' in wide ? [6, float(wide.float)] : [10, u64(wide.long)];
  }
  const items = (value as readonly (string | number | boolean)[]).map(encode);
  const header = Buffer.concat([u32(items[0]?.[0] ?? 4), u64(items.length)]);
  return [9, Buffer.concat([header, ...items.map(([, bytes]) => bytes)])];
}

/** A small GGUF file, byte for byte as the format's description has it, with zeros for weights. */
export function fakeGguf({ version = 3, metadata = {}, tensors = [] }: FakeGguf = {}): Buffer {
  const pairs = Object.entries(metadata).map(([key, value]) => {
    const [type, bytes] = encode(value);
    return Buffer.concat([text(key), u32(type), bytes]);
  });
  let offset = 0;
  const infos = tensors.map(({ name, shape, type = 0, bytes }) => {
    const info = [text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)];
    offset += Math.ceil((bytes ?? elements(shape) * 4) / 32) * 32;
    return Buffer.concat(info);
  });
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(version),
    u64(tensors.length),
    u64(pairs.length),
    ...pairs,
    ...infos,
  ]);
  return Buffer.concat([head, Buffer.alloc((32 - (head.length % 32)) % 32), Buffer.alloc(offset)]);
}

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** The header of a small Llama: enough for every fact, with two layers and an eight-word vocabulary. */
export const tinyLlama: FakeGguf = {
  metadata: {
    'general.architecture': 'llama',
    'general.name': 'Tiny',
    'general.file_type': 15,
    'llama.block_count': 2,
    'llama.context_length': 2048,
    'llama.embedding_length': 64,
    'llama.feed_forward_length': 128,
    'llama.attention.head_count': 4,
    'llama.attention.head_count_kv': 2,
    'llama.rope.freq_base': { float: 10_000 },
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.tokens': ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'],
    'tokenizer.chat_template': '{{ messages }}',
  },
  tensors: [
    { name: 'token_embd.weight', shape: [64, 8] },
    { name: 'output_norm.weight', shape: [64] },
  ],
};

export const writeFakeGguf = (path: string, file: FakeGguf = tinyLlama): Promise<void> =>
  writeFile(path, fakeGguf(file));
