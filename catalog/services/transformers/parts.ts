/*
 * A model's file here is two files in one: the network as ONNX and, behind it, its `tokenizer.json`. A store that keeps one
 * file for a model keeps both, and a source that joins files (`python.files`) makes it.
 */

export interface Parts {
  readonly network: Buffer;
  readonly tokenizer: object;
}

/** @throws an Error that says which part is missing or broken. */
export function partsOf(file: Buffer): Parts {
  const end = networkEnd(file);
  if (end === 0) throw new Error('it does not begin with an ONNX model');
  if (end === file.length) throw new Error('no tokenizer.json stands behind the ONNX model in it');
  const text = file.subarray(end).toString('utf8');
  try {
    return { network: file.subarray(0, end), tokenizer: JSON.parse(text) as object };
  } catch {
    throw new Error(`what stands behind the ONNX model, from byte ${String(end)} on, is no tokenizer.json`);
  }
}

/** The first byte of JSON. In Protocol Buffers it would begin a group, which ONNX has none of. */
const brace = 0x7b;

/** Where ONNX's outermost message ends: its fields are walked, each a tag and a number or so many bytes. */
function networkEnd(file: Buffer): number {
  let at = 0;
  while (at < file.length && file[at] !== brace) {
    const tag = varint(file, at);
    const value = tag && varint(file, tag.end);
    if (!tag || !value) return 0;
    const kind = tag.value % 8;
    // 0 is a number, 2 so many bytes; ONNX has no other kinds on this level.
    if (tag.value < 8 || (kind !== 0 && kind !== 2)) return 0;
    at = kind === 0 ? value.end : value.end + value.value;
    if (at > file.length) return 0;
  }
  return at;
}

/** Seven bits a byte, the least first; the eighth says that more follow. */
function varint(file: Buffer, at: number): { readonly value: number; readonly end: number } | null {
  let value = 0;
  for (let i = 0; i < 8; i++) {
    const byte = file[at + i];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: at + i + 1 };
  }
  return null;
}
