import { howToJoin } from '#catalog/split';
import type { Metadata } from './gguf.ts';
import { unusable } from './gguf-reader.ts';

/**
 * What the numbers of a header may be at most: several times those of the largest models known. A larger one is no model,
 * and an engine that believed it would ask the machine for memory it does not have.
 */
const mostOf: readonly (readonly [key: string, most: number])[] = [
  ['block_count', 4_096],
  ['embedding_length', 2 ** 20],
  ['feed_forward_length', 2 ** 22],
  ['attention.head_count', 2 ** 14],
  ['attention.head_count_kv', 2 ** 14],
  ['attention.key_length', 2 ** 16],
  ['attention.value_length', 2 ** 16],
  ['attention.sliding_window', 2 ** 28],
  ['context_length', 2 ** 28],
  ['vocab_size', 2 ** 22],
];

/** Throws BAD_REQUEST, naming the field, when a number of the header is absurd, or the file is only a part of a model. */
export function checkFacts(metadata: Metadata, file: string): void {
  // Whatever it is called: an engine would look for the others beside it, by names that the store does not keep.
  const parts = metadata.number('split.count') ?? 0;
  const part = (metadata.number('split.no') ?? 0) + 1;
  if (parts > 1) unusable(file, '"split.count"', `it is part ${part} of ${parts} of a model: ${howToJoin}`);
  const architecture = metadata.text('general.architecture') ?? '';
  for (const [key, most] of mostOf) {
    const name = `${architecture}.${key}`;
    for (const value of metadata.items(name) ?? []) {
      const whole = Number.isInteger(value) && value >= 0;
      if (!whole) unusable(file, `"${name}"`, `it is ${value}, which counts nothing`);
      if (value > most) unusable(file, `"${name}"`, `it is ${value}, more than ${most}`);
    }
  }
}

/** Throws BAD_REQUEST when an engine could not read or write a word with it: a header alone, or a converter that stopped. */
export function checkTokenizer(metadata: Metadata, file: string): void {
  const model = metadata.text('tokenizer.ggml.model');
  if (model === undefined) unusable(file, '"tokenizer.ggml.model"', 'its tokenizer is missing');
  // Models that are fed with vectors alone say so, and have no words.
  if (['none', 'no_vocab'].includes(model)) return;
  const tokens = metadata.length('tokenizer.ggml.tokens');
  if (!tokens) unusable(file, '"tokenizer.ggml.tokens"', 'its tokenizer has no tokens');
}
