import { readFile } from 'node:fs/promises';
import type { Encoded, Libraries, Session, Tensor } from './libraries.ts';
import { partsOf } from './parts.ts';

export interface NetworkOptions {
  readonly modelPath: string;
  readonly contextTokens: number;
  readonly threads: number;
}

/** A model of texts as its file has it: how it reads them, and what it answers. */
export interface Network {
  /** What its first output is called. */
  readonly output: string;
  encode(text: string, pair?: string): Encoded;
  run(text: Encoded): Promise<Tensor>;
}

/** @throws an Error when the file is no model of texts. */
export async function openNetwork({ onnx, tokenizers }: Libraries, options: NetworkOptions): Promise<Network> {
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
  return {
    output,
    encode: (text, pair) =>
      tokenizer.encode(text, { return_token_type_ids: true, ...(pair !== undefined && { text_pair: pair }) }),
    async run(text) {
      const answer = (await session.run(feeds(session, text, onnx)))[output];
      if (!answer) throw new Error('the model gave no answer');
      return answer;
    },
  };
}

function feeds(session: Session, { ids, token_type_ids: kinds }: Encoded, { Tensor: Row }: Libraries['onnx']) {
  const row = (values: readonly number[]) => new Row('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  const known: Readonly<Record<string, () => Tensor>> = {
    input_ids: () => row(ids),
    attention_mask: () => row(ids.map(() => 1)),
    token_type_ids: () => row(kinds ?? ids.map(() => 0)),
  };
  return Object.fromEntries(session.inputNames.map((name) => [name, fed(known, name)]));
}

function fed(known: Readonly<Record<string, () => Tensor>>, name: string): Tensor {
  const make = Object.hasOwn(known, name) ? known[name] : undefined;
  if (!make) throw new Error(`the model wants ${name}, which is not known here`);
  return make();
}
