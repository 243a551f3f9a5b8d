import type { ChatMessage, Shape } from './contract.ts';
import { badParam } from './errors.ts';
import type { Usage } from './generation.ts';
import type { Json } from './json.ts';
import { list, number, object, oneOf, parse, refused, required, text, ignored, flag, type Field } from './params.ts';
import { bodyObject, samplingFields } from './sampling.ts';
import { grammarSchema } from './schema.ts';

const noTools = 'tools are not wired to this engine';
const textOnly = 'only text goes in and out';

const part: Field<string> = (value, param) => {
  const { type } = object(value, param);
  if (typeof type === 'string' && type !== 'text') {
    throw badParam(`${param}.type`, `Unsupported content part '${type.slice(0, 32)}' at '${param}': ${textOnly}.`);
  }
  const read = parse(object(value, param), { type: oneOf('text'), text }, `${param}.`);
  required(read.type, `${param}.type`);
  return required(read.text, `${param}.text`);
};

const content: Field<string> = (value, param) =>
  typeof value === 'string' ? value : list(part, { min: 1 })(value, param).join('');

const messageFields = {
  role: oneOf('system', 'developer', 'user', 'assistant'),
  content,
  // A label for people; templates of local models have no place for it.
  name: ignored,
  refusal: refused(textOnly),
  audio: refused(textOnly),
  annotations: refused(textOnly, []),
  tool_calls: refused(noTools, []),
  tool_call_id: refused(noTools),
  function_call: refused(noTools),
} as const;

const message: Field<ChatMessage> = (value, param) => {
  const { role } = object(value, param);
  if (role === 'tool' || role === 'function') {
    throw badParam(`${param}.role`, `Unsupported role '${role}' at '${param}': ${noTools}.`, 'unsupported_value');
  }
  const read = parse(object(value, param), messageFields, `${param}.`);
  const known = required(read.role, `${param}.role`);
  return {
    role: known === 'developer' ? 'system' : known,
    text: required(read.content, `${param}.content`),
  };
};

const jsonSchema: Field<Shape> = (value, param) => {
  const fields = { name: text, description: text, strict: flag, schema: object };
  const read = parse(object(value, param), fields, `${param}.`);
  required(read.name, `${param}.name`);
  const schema = required(read.schema, `${param}.schema`);
  return { kind: 'schema', schema: grammarSchema(schema, `${param}.schema`) };
};

const responseFormat: Field<Shape> = (value, param) => {
  const fields = { type: oneOf('text', 'json_object', 'json_schema'), json_schema: jsonSchema };
  const read = parse(object(value, param), fields, `${param}.`);
  const type = required(read.type, `${param}.type`);
  if (type === 'json_schema') return required(read.json_schema, `${param}.json_schema`);
  return type === 'text' ? { kind: 'text' } : { kind: 'json' };
};

export const chatFields = {
  ...samplingFields,
  messages: list(message, { min: 1 }),
  max_completion_tokens: number({ min: 1, integer: true }),
  response_format: responseFormat,
  tools: refused(noTools, []),
  tool_choice: refused(noTools, 'none', 'auto'),
  parallel_tool_calls: refused(noTools, true, false),
  functions: refused(noTools, []),
  function_call: refused(noTools, 'none', 'auto'),
  logprobs: refused('probabilities are not reported', false),
  top_logprobs: refused('probabilities are not reported', 0),
  modalities: refused(textOnly, ['text']),
  audio: refused(textOnly),
  prediction: refused('predicted outputs are not used'),
  reasoning_effort: refused('the model decides how long it reasons'),
  verbosity: refused('say in the prompt how long the answer should be'),
  web_search_options: refused('the engine has no web search'),
} as const;

export function parseChat(body: Json) {
  const params = parse(bodyObject(body), chatFields);
  required(params.model, 'model');
  return {
    params,
    messages: required(params.messages, 'messages'),
    maxTokens: params.max_completion_tokens ?? params.max_tokens,
    shape: params.response_format ?? ({ kind: 'text' } as const),
  };
}

/** What every object of one answer carries. */
export interface Envelope {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

export const usageBody = (usage: Usage) => ({
  prompt_tokens: usage.promptTokens,
  completion_tokens: usage.completionTokens,
  total_tokens: usage.promptTokens + usage.completionTokens,
  prompt_tokens_details: { cached_tokens: usage.cachedTokens },
});

export type FinishReason = 'stop' | 'length';

export const chatAnswer = (envelope: Envelope, text: string, reason: FinishReason, usage: Usage) => ({
  ...envelope,
  object: 'chat.completion',
  choices: [
    { index: 0, message: { role: 'assistant', content: text, refusal: null }, logprobs: null, finish_reason: reason },
  ],
  usage: usageBody(usage),
});

export interface ChunkDelta {
  readonly role?: 'assistant';
  readonly content?: string;
}

/** `withUsage`: the client asked for usage, so that every chunk but the last carries it as null. */
export const chatChunk = (envelope: Envelope, delta: ChunkDelta, reason: FinishReason | null, withUsage: boolean) => ({
  ...envelope,
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }],
  ...(withUsage ? { usage: null } : {}),
});

export const chatUsageChunk = (envelope: Envelope, usage: Usage) => ({
  ...envelope,
  object: 'chat.completion.chunk',
  choices: [],
  usage: usageBody(usage),
});
