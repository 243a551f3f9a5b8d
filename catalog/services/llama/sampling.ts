import { badParam } from './errors.ts';
import type { Sampling } from './contract.ts';
import type { GenerationOptions } from './generation.ts';
import { isObject, type Json } from './json.ts';
import { flag, ignored, list, number, object, parse, refused, text, type Field, type Parsed } from './params.ts';

const maxStops = 4;
/** Answers to one request. */
const maxAnswers = 16;

const stops: Field<readonly string[]> = (value, param) =>
  typeof value === 'string' ? [value] : list(text, { max: maxStops })(value, param);

const logitBias: Field<ReadonlyMap<number, number>> = (value, param) => {
  const biases = new Map<number, number>();
  for (const [token, bias] of Object.entries(object(value, param))) {
    const id = Number(token);
    if (!/^\d+$/.test(token) || !Number.isSafeInteger(id)) {
      throw badParam(param, `Invalid key in '${param}': '${token.slice(0, 32)}' is not a token id.`, 'invalid_value');
    }
    biases.set(id, number({ min: -100, max: 100 })(bias ?? null, `${param}.${token}`));
  }
  return biases;
};

const streamOptions: Field<{ readonly includeUsage: boolean; readonly continuousUsage: boolean }> = (value, param) => {
  const fields = {
    include_usage: flag,
    // As vLLM has it: what it came to so far with each chunk, for who charges those that leave.
    continuous_usage_stats: flag,
    // Padding against those who listen on the wire; there is none on loopback, so only its absence can be honoured.
    include_obfuscation: refused('streams are not padded', false),
  };
  const given = parse(object(value, param), fields, `${param}.`);
  const includeUsage = given.include_usage ?? false;
  return { includeUsage, continuousUsage: includeUsage && (given.continuous_usage_stats ?? false) };
};

/** What chat and plain completions have in common. */
export const samplingFields = {
  model: text,
  max_tokens: number({ min: 1, integer: true }),
  temperature: number({ min: 0, max: 2 }),
  top_p: number({ min: 0, max: 1 }),
  top_k: number({ min: 0, integer: true }),
  min_p: number({ min: 0, max: 1 }),
  seed: number({ integer: true }),
  stop: stops,
  frequency_penalty: number({ min: -2, max: 2 }),
  presence_penalty: number({ min: -2, max: 2 }),
  repeat_penalty: number({ min: 0.01, max: 10 }),
  logit_bias: logitBias,
  n: number({ min: 1, max: maxAnswers, integer: true }),
  stream: flag,
  stream_options: streamOptions,
  user: ignored,
  metadata: ignored,
  store: ignored,
  safety_identifier: ignored,
  prompt_cache_key: ignored,
  prompt_cache_options: ignored,
  prompt_cache_retention: ignored,
  service_tier: ignored,
} as const;

export type SamplingParams = Parsed<typeof samplingFields>;

const unsigned = 0x1_0000_0000;

/**
 * OpenAI's defaults where OpenAI has the parameter, llama.cpp's (top_k 40, min_p 0.05) where it hasn't: they keep a
 * small model off the improbable end of its vocabulary. Without a seed each request draws its own.
 */
export function samplingOf(
  params: SamplingParams,
  vocabulary: number,
  randomSeed: () => number,
  /** Who asks for probabilities gets those of all tokens, unless they leave some out themselves. */
  whole = false,
): Sampling {
  const logitBias = params.logit_bias ?? new Map<number, number>();
  for (const token of logitBias.keys()) {
    if (token >= vocabulary) {
      const message = `Invalid key in 'logit_bias': the model has ${String(vocabulary)} tokens, ${String(token)} isn't one.`;
      throw badParam('logit_bias', message, 'invalid_value');
    }
  }
  const seed = params.seed ?? randomSeed();
  return {
    temperature: params.temperature ?? 1,
    topP: params.top_p ?? 1,
    topK: params.top_k ?? (whole ? 0 : 40),
    minP: params.min_p ?? (whole ? 0 : 0.05),
    seed: ((seed % unsigned) + unsigned) % unsigned,
    repeatPenalty: params.repeat_penalty ?? 1,
    frequencyPenalty: params.frequency_penalty ?? 0,
    presencePenalty: params.presence_penalty ?? 0,
    logitBias,
  };
}

export interface StreamChoice {
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly continuousUsage: boolean;
}

export function streamOf(params: SamplingParams): StreamChoice {
  const stream = params.stream ?? false;
  if (params.stream_options && !stream) {
    throw badParam('stream_options', "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
  }
  const { includeUsage = false, continuousUsage = false } = params.stream_options ?? {};
  return { stream, includeUsage, continuousUsage };
}

export const stopsOf = (params: SamplingParams): readonly string[] => {
  const given = params.stop ?? [];
  if (given.includes(''))
    throw badParam('stop', "Invalid 'stop': an empty string would stop everything.", 'invalid_value');
  return given;
};

/** The body of a request: an object, or a 400. */
export function bodyObject(body: Json) {
  if (!isObject(body)) throw badParam('body', 'The request body must be a JSON object.');
  return body;
}

export interface Request {
  readonly options: GenerationOptions;
  readonly choice: StreamChoice;
}
