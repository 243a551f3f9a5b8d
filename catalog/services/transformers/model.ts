import { normalise } from '../llama/embeddings.ts';
import type { Encoded, Libraries, Tensor } from './libraries.ts';
import { openNetwork, type Network, type NetworkOptions } from './network.ts';

interface Common {
  /** Tokens one evaluation may have, begin and end tokens included. */
  readonly maxTokens: number;
  encode(text: string, pair?: string): Encoded;
}

/** Makes vectors of texts. */
export interface Embedder extends Common {
  readonly kind: 'embedder';
  /** The text's vector, of length 1. */
  embed(text: Encoded): Promise<readonly number[]>;
}

/** A cross-encoder: it reads a question and a document together. */
export interface Ranker extends Common {
  readonly kind: 'ranker';
  /** How well the second text of the pair answers the first, from 0 to 1. */
  score(pair: Encoded): Promise<number>;
}

export type Model = Embedder | Ranker;

/** @throws an Error when the file is no model that makes vectors or ranks. */
export async function loadModel(libraries: Libraries, options: NetworkOptions): Promise<Model> {
  const network = await openNetwork(libraries, options);
  const { encode } = network;
  const common = { maxTokens: options.contextTokens, encode };
  // One evaluation, so that the first request finds everything in place, and what the model is shows in its answer.
  if (isScore(await network.run(encode('a', 'b')), network)) {
    return { ...common, kind: 'ranker', score: async (pair) => scoreOf(await network.run(pair)) };
  }
  const embed = async (text: Encoded) => normalise(pooled(await network.run(text)));
  await embed(encode('a'));
  return { ...common, kind: 'embedder', embed };
}

/** Whether it gives one number for what it reads. What has more of them under a classifier's name tells classes apart. */
function isScore({ dims }: Tensor, { output }: Network): boolean {
  const length = dims.at(-1) ?? 0;
  if (dims.length === 2 && length === 1) return true;
  if (output !== 'logits') return false;
  throw new Error(`it tells ${String(length)} classes apart: a model that ranks gives one number`);
}

/** The network's number on the scale that both forms of the API have, as its training has it. */
function scoreOf({ data }: Tensor): number {
  if (!(data instanceof Float32Array)) throw new Error('a number was expected');
  return 1 / (1 + Math.exp(-(data[0] ?? 0)));
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
