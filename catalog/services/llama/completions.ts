import { usageBody, type Answered, type ChunkFields, type Envelope } from './chat.ts';
import type { Prompt } from './contract.ts';
import { badParam } from './errors.ts';
import type { Usage } from './generation.ts';
import type { Json } from './json.ts';
import { list, number, parse, refused, required, type Field } from './params.ts';
import { bodyObject, samplingFields } from './sampling.ts';

export type RawPrompt = string | readonly number[];

const token = number({ min: 0, integer: true });

/** OpenAI allows a list of prompts, each with an answer of its own; one is what one request gets here. */
const prompt: Field<RawPrompt> = (value, param) => {
  if (typeof value === 'string') return value;
  const single = Array.isArray(value) && value.length === 1 ? (value[0] as Json) : undefined;
  if (typeof single === 'string') return single;
  if (Array.isArray(single)) return list(token, { min: 1 })(single as Json, `${param}[0]`);
  if (Array.isArray(value) && typeof value[0] !== 'number' && value.length > 1) {
    throw badParam(param, `Unsupported '${param}': one prompt per request, ${String(value.length)} given.`);
  }
  return list(token, { min: 1 })(value, param);
};

export const completionFields = {
  ...samplingFields,
  prompt,
  best_of: refused('one answer is generated per request', 1),
  echo: refused('the prompt is not repeated in the answer', false),
  suffix: refused('text is only generated at the end', ''),
  logprobs: refused('probabilities are not reported', 0),
} as const;

export function parseCompletion(body: Json) {
  const params = parse(bodyObject(body), completionFields);
  required(params.model, 'model');
  // OpenAI's default for this endpoint, where a prompt seldom comes with an end of its own.
  return { params, prompt: required(params.prompt, 'prompt'), maxTokens: params.max_tokens ?? 16 };
}

/** A prompt given as tokens is taken as it is. */
export function tokenPrompt(tokens: readonly number[], vocabulary: number, param: string): Prompt {
  const wrong = tokens.find((id) => id >= vocabulary);
  if (wrong !== undefined) {
    const message = `Invalid '${param}': the model has ${String(vocabulary)} tokens, ${String(wrong)} isn't one.`;
    throw badParam(param, message, 'invalid_value');
  }
  return { tokens, stops: [] };
}

export const completionAnswer = (envelope: Envelope, answers: readonly Answered[], usage: Usage) => ({
  ...envelope,
  object: 'text_completion',
  choices: answers.map(({ text, reason }, index) => ({ index, text, logprobs: null, finish_reason: reason })),
  usage: usageBody(usage),
});

export const completionChunk = (envelope: Envelope, text: string, { choice, reason, withUsage }: ChunkFields) => ({
  ...envelope,
  object: 'text_completion',
  choices: [{ index: choice, text, logprobs: null, finish_reason: reason ?? null }],
  ...(withUsage ? { usage: null } : {}),
});

export const completionUsageChunk = (envelope: Envelope, usage: Usage) => ({
  ...envelope,
  object: 'text_completion',
  choices: [],
  usage: usageBody(usage),
});
