import { bad, given, list, number, read, refused, text } from '../fields.ts';
import type { Field } from '../fields.ts';

const atLoad = 'how a model is loaded is said in sutaz.yaml (models.settings)';
const noSampler = 'the engines have no such sampler';
const count = number({ integer: true });

const stops: Field<readonly string[]> = (value, param) =>
  typeof value === 'string' ? [value] : list(text)(value, param);

/** Ollama's options: those that are about one request. */
const optionFields = {
  num_predict: count,
  temperature: number({ min: 0 }),
  top_p: number({ min: 0, max: 1 }),
  top_k: number({ min: 0, integer: true }),
  min_p: number({ min: 0, max: 1 }),
  seed: count,
  stop: stops,
  repeat_penalty: number({ min: 0 }),
  presence_penalty: number(),
  frequency_penalty: number(),
  num_ctx: number({ min: 1, integer: true }),
  num_thread: refused(atLoad, 0),
  num_gpu: refused(atLoad, -1),
  num_batch: refused(atLoad, 512),
  main_gpu: refused(atLoad, 0),
  numa: refused(atLoad, false),
  low_vram: refused(atLoad, false),
  f16_kv: refused(atLoad, true),
  vocab_only: refused(atLoad, false),
  use_mmap: refused(atLoad, true),
  use_mlock: refused(atLoad, false),
  embedding_only: refused(atLoad, false),
  logits_all: refused(atLoad, false),
  num_keep: refused('a context that is full ends the answer, and drops nothing', 0, 4, -1),
  repeat_last_n: refused('penalties look at the whole answer', -1, 64),
  penalize_newline: refused(noSampler, true, false),
  tfs_z: refused(noSampler, 1),
  typical_p: refused(noSampler, 1),
  mirostat: refused(noSampler, 0),
  mirostat_tau: refused(noSampler, 5),
  mirostat_eta: refused(noSampler, 0.1),
} as const;

/** What Ollama takes where neither a request nor the configuration says anything. */
export const usual = { temperature: 0.8, top_p: 0.9 };

export interface OllamaOptions {
  /** OpenAI's parameters for the same. */
  readonly sampling: Record<string, unknown>;
  /** The context that was asked for. */
  readonly context: number | undefined;
}

export const options: Field<OllamaOptions> = (value, param) => {
  const { num_predict: most, num_ctx: context, temperature, ...rest } = read(value, optionFields, `${param}.`);
  // OpenAI's scale ends at 2.
  if (temperature !== undefined && temperature > 2)
    throw bad(`${param}.temperature`, `${param}.temperature is at most 2.`);
  // -1 and -2 are Ollama's words for "as many as there is room for".
  const max_tokens = most !== undefined && most > 0 ? most : undefined;
  return { sampling: given({ ...rest, temperature, max_tokens }), context };
};

export const noOptions: OllamaOptions = { sampling: {}, context: undefined };

/** Refuses a context larger than the model is loaded with. */
export function checkContext(context: number, most: number | undefined): void {
  if (most === undefined || context <= most) return;
  throw bad(
    'options.num_ctx',
    `options.num_ctx is ${context}, and the model is loaded with ${most}: models.settings in sutaz.yaml says more.`,
  );
}
