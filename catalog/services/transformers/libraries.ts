import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/*
 * The parts of onnxruntime-node 1.30 and @huggingface/tokenizers 0.2 that are used here, written down by hand: they live in an
 * environment of their own and are no dependencies of this repository. The tokenizers are those of Transformers.js.
 */

export interface Tensor {
  readonly dims: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>>;
  release(): Promise<void>;
}

export interface OnnxRuntime {
  readonly Tensor: new (type: 'int64', data: BigInt64Array, dims: readonly number[]) => Tensor;
  readonly InferenceSession: {
    create(
      model: Buffer,
      options: {
        readonly executionProviders: readonly ['cpu'];
        readonly intraOpNumThreads: number;
        readonly interOpNumThreads: 1;
        readonly enableCpuMemArena: false;
      },
    ): Promise<Session>;
  };
}

/** `token_type_ids` tell the texts of a pair apart, for models that are told. */
export interface Encoded {
  readonly ids: readonly number[];
  readonly token_type_ids?: readonly number[];
}

export interface Tokenizer {
  encode(text: string, options: { readonly text_pair?: string; readonly return_token_type_ids: true }): Encoded;
}

export interface Libraries {
  readonly onnx: OnnxRuntime;
  readonly tokenizers: { readonly Tokenizer: new (tokenizer: object, config: object) => Tokenizer };
}

/** From the environment they were installed in. */
export async function importLibraries(environment: string): Promise<Libraries> {
  const { resolve } = createRequire(join(environment, 'package.json'));
  const load = async (name: string) => (await import(pathToFileURL(resolve(name)).href)) as { default?: unknown };
  const [onnx, tokenizers] = await Promise.all([load('onnxruntime-node'), load('@huggingface/tokenizers')]);
  return {
    onnx: (onnx.default ?? onnx) as OnnxRuntime,
    tokenizers: ('Tokenizer' in tokenizers ? tokenizers : tokenizers.default) as Libraries['tokenizers'],
  };
}
