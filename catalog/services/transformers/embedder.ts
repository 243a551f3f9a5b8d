import { readFile } from 'node:fs/promises';
import { normalise } from '../llama/embeddings.ts';
import type { Libraries, Tensor } from './libraries.ts';
import { partsOf } from './parts.ts';

export interface Embedder {
  /** Tokens one text may have, begin and end tokens included. */
  readonly maxTokens: number;
  tokenize(text: string): readonly number[];
  /** The text's vector, of length 1. */
  embed(tokens: readonly number[]): Promise<readonly number[]>;
}

export interface EmbedderOptions {
  readonly modelPath: string;
  readonly contextTokens: number;
  readonly threads: number;
}

/** @throws an Error when the file is no model that makes vectors. */
export async function loadEmbedder({ onnx, tokenizers }: Libraries, options: EmbedderOptions): Promise<Embedder> {
  const { network, tokenizer: described } = partsOf(await readFile(options.modelPath));
  // Padding and truncation of the file are for batches: texts are evaluated one by one, and none is cut in silence.
  const tokenizer = new tokenizers.Tokenizer(described, {});
  const session = await onnx.InferenceSession.create(network, {
    executionProviders: ['cpu'],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    // The arena keeps the memory of the longest text for ever.
    enableCpuMemArena: false,
  });
  const [output] = session.outputNames;
  if (output === undefined || !session.inputNames.includes('input_ids')) {
    throw new Error(`it takes ${session.inputNames.join(', ')} and is no model of texts`);
  }
  const embed = async (tokens: readonly number[]): Promise<readonly number[]> => {
    const row = (values: readonly number[]) =>
      new onnx.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
    const known: Readonly<Record<string, () => Tensor>> = {
      input_ids: () => row(tokens),
      attention_mask: () => row(tokens.map(() => 1)),
      token_type_ids: () => row(tokens.map(() => 0)),
    };
    const feeds = Object.fromEntries(session.inputNames.map((name) => [name, fed(known, name)]));
    const answer = (await session.run(feeds))[output];
    if (!answer) throw new Error('the model gave no answer');
    return normalise(pooled(answer));
  };
  // One evaluation, so that the first request finds everything in place, and a model that cannot is found out now.
  await embed(tokenizer.encode('a').ids);
  return { maxTokens: options.contextTokens, tokenize: (text) => tokenizer.encode(text).ids, embed };
}

function fed(known: Readonly<Record<string, () => Tensor>>, name: string): Tensor {
  const make = Object.hasOwn(known, name) ? known[name] : undefined;
  if (!make) throw new Error(`the model wants ${name}, which is not known here`);
  return make();
}

/** The mean over the tokens, where the model gives a vector for each; else the one it gives. */
export function pooled({ dims, data }: Tensor): number[] {
  const length = dims.at(-1) ?? 0;
  const rows = dims.length === 3 ? (dims[1] ?? 0) : 1;
  if (!(data instanceof Float32Array) || length === 0 || rows * length !== data.length) {
    throw new Error(`a vector was expected, and not ${dims.join(' x ')}`);
  }
  return Array.from({ length }, (_, column) => {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += data[row * length + column] ?? 0;
    return sum / rows;
  });
}
