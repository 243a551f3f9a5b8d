import type { ChatMessage, Form, Likelihood, Likely, ToolCall } from './contract.ts';
import { badParam } from './errors.ts';
import type { Piece, Usage } from './generation.ts';
import type { Json } from './json.ts';
import { list, number, object, oneOf, parse, refused, required, text, ignored, flag, type Field } from './params.ts';
import { bodyObject, samplingFields } from './sampling.ts';
import { grammarSchema } from './schema.ts';
import { callArguments, toolFields } from './tools.ts';

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

const older = 'it is the older form of tool calls: send those';

const call: Field<ToolCall> = (value, param) => {
  const fields = { id: text, type: oneOf('function'), function: object, index: ignored };
  const read = parse(object(value, param), fields, `${param}.`);
  const at = `${param}.function`;
  const { name, arguments: given } = parse(
    required(read.function, at),
    { name: text, arguments: callArguments, parsed_arguments: ignored },
    `${at}.`,
  );
  return { id: required(read.id, `${param}.id`), name: required(name, `${at}.name`), arguments: given ?? {} };
};

const messageFields = {
  role: oneOf('system', 'developer', 'user', 'assistant', 'tool'),
  content,
  // A label for people; templates of local models have no place for it.
  name: ignored,
  refusal: refused(textOnly),
  audio: refused(textOnly),
  annotations: refused(textOnly, []),
  tool_calls: list(call),
  tool_call_id: text,
  function_call: refused(older),
  // OpenAI's own client sends back what it read in an answer, beside the text it read it in.
  parsed: ignored,
  // What a model thought aloud in an earlier turn is not told to it again.
  reasoning_content: ignored,
} as const;

const message: Field<ChatMessage> = (value, param) => {
  const { role } = object(value, param);
  if (role === 'function') {
    throw badParam(`${param}.role`, `Unsupported role 'function' at '${param}': ${older}.`, 'unsupported_value');
  }
  const read = parse(object(value, param), messageFields, `${param}.`);
  const known = required(read.role, `${param}.role`);
  if (known !== 'tool' && read.tool_call_id !== undefined) throw onlyWith('tool_call_id', 'tool', param);
  if (known !== 'assistant' && read.tool_calls !== undefined) throw onlyWith('tool_calls', 'assistant', param);
  if (known === 'assistant') {
    const { tool_calls: calls = [] } = read;
    // What was nothing but calls has no content.
    const said = calls.length > 0 ? (read.content ?? '') : required(read.content, `${param}.content`);
    return { role: known, text: said, ...(calls.length > 0 ? { calls } : {}) };
  }
  const said = required(read.content, `${param}.content`);
  if (known === 'tool')
    return { role: known, text: said, callId: required(read.tool_call_id, `${param}.tool_call_id`) };
  return { role: known === 'developer' ? 'system' : known, text: said };
};

const onlyWith = (key: string, role: string, param: string) =>
  badParam(`${param}.${key}`, `'${param}.${key}' belongs to a message of the role '${role}'.`, 'invalid_value');

interface Plain {
  readonly kind: 'text';
}

const jsonSchema: Field<Form> = (value, param) => {
  const fields = { name: text, description: text, strict: flag, schema: object };
  const read = parse(object(value, param), fields, `${param}.`);
  required(read.name, `${param}.name`);
  const at = `${param}.schema`;
  return { kind: 'schema', schema: grammarSchema(required(read.schema, at), at), param: at };
};

const responseFormat: Field<Form | Plain> = (value, param) => {
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
  ...toolFields,
  logprobs: flag,
  top_logprobs: number({ min: 0, max: 20, integer: true }),
  modalities: refused(textOnly, ['text']),
  audio: refused(textOnly),
  prediction: refused('predicted outputs are not used'),
  reasoning_effort: refused('the model decides how long it reasons'),
  verbosity: refused('say in the prompt how long the answer should be'),
  web_search_options: refused('the engine has no web search'),
  moderation: refused('nothing is judged here'),
} as const;

export function parseChat(body: Json) {
  const params = parse(bodyObject(body), chatFields);
  required(params.model, 'model');
  return {
    params,
    messages: required(params.messages, 'messages'),
    maxTokens: params.max_completion_tokens ?? params.max_tokens,
    shape: params.response_format ?? ({ kind: 'text' } as const),
    likelihoods: likelihoodsOf(params),
  };
}

function likelihoodsOf(params: {
  readonly logprobs?: boolean | undefined;
  readonly top_logprobs?: number | undefined;
}) {
  const { logprobs = false, top_logprobs: top } = params;
  if (logprobs) return top ?? 0;
  if (top === undefined || top === 0) return undefined;
  throw badParam('top_logprobs', "'top_logprobs' is only allowed when 'logprobs' is true.", 'invalid_value');
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

export type FinishReason = 'stop' | 'length' | 'tool_calls';

/** One of the answers to a request, whole. */
export interface Answered {
  readonly text: string;
  readonly calls: readonly { readonly name: string; readonly json: string }[];
  readonly reason: FinishReason;
  readonly stoppedBy?: string | undefined;
  /** Only where they were asked for. */
  readonly likelihoods?: readonly Likelihood[] | undefined;
}

/** Beyond OpenAI, as vLLM has it: which stop string it was. Anthropic's clients are told. */
const stopReason = (by: string | undefined) => (by === undefined ? {} : { stop_reason: by });

/** A token that is only a part of a character has no bytes that could be told. */
const bytesOf = (text: string): readonly number[] | null => (text.includes('\uFFFD') ? null : [...Buffer.from(text)]);

const likelyBody = ({ text, logprob }: Likely) => ({ token: text, logprob, bytes: bytesOf(text) });

const logprobsBody = (likelihoods: readonly Likelihood[] | undefined) =>
  likelihoods === undefined
    ? null
    : {
        content: likelihoods.map((one) => ({ ...likelyBody(one), top_logprobs: one.top.map(likelyBody) })),
        refusal: null,
      };

/** The same wherever it is told, and another for each call. */
const callId = ({ id }: Envelope, choice: number, index: number): string =>
  `call_${id.slice(id.indexOf('-') + 1)}_${String(choice)}_${String(index)}`;

export const chatAnswer = (envelope: Envelope, answers: readonly Answered[], usage: Usage) => ({
  ...envelope,
  object: 'chat.completion',
  choices: answers.map(({ text, calls, reason, stoppedBy, likelihoods }, choice) => ({
    index: choice,
    message: {
      role: 'assistant',
      content: text === '' && calls.length > 0 ? null : text,
      refusal: null,
      ...(calls.length === 0 ? {} : { tool_calls: calls.map((made, at) => wholeCall(envelope, choice, at, made)) }),
    },
    logprobs: logprobsBody(likelihoods),
    finish_reason: reason,
    ...stopReason(stoppedBy),
  })),
  usage: usageBody(usage),
});

const wholeCall = (
  envelope: Envelope,
  choice: number,
  index: number,
  { name, json }: { readonly name: string; readonly json: string },
) => ({ id: callId(envelope, choice, index), type: 'function', function: { name, arguments: json } });

export interface CallDelta {
  readonly index: number;
  readonly id?: string;
  readonly type?: 'function';
  readonly function: { readonly name?: string; readonly arguments: string };
}

export interface ChunkDelta {
  readonly role?: 'assistant';
  readonly content?: string;
  readonly tool_calls?: readonly CallDelta[];
}

/** A piece of an answer, as a delta of the stream. */
export function pieceDelta(envelope: Envelope, choice: number, piece: Piece): ChunkDelta {
  if (piece.kind === 'text') return { content: piece.text };
  const { index } = piece;
  if (piece.kind === 'arguments') return { tool_calls: [{ index, function: { arguments: piece.text } }] };
  const id = callId(envelope, choice, index);
  return { tool_calls: [{ index, id, type: 'function', function: { name: piece.name, arguments: '' } }] };
}

export interface ChunkFields {
  readonly choice: number;
  readonly reason?: FinishReason;
  readonly stoppedBy?: string | undefined;
  readonly likelihoods?: readonly Likelihood[] | undefined;
  /** The client asked for usage, so that every chunk but the last carries it as null. */
  readonly withUsage: boolean;
}

export const chatChunk = (envelope: Envelope, delta: ChunkDelta, fields: ChunkFields) => ({
  ...envelope,
  object: 'chat.completion.chunk',
  choices: [
    {
      ...{ index: fields.choice, delta, logprobs: logprobsBody(fields.likelihoods) },
      finish_reason: fields.reason ?? null,
      ...stopReason(fields.stoppedBy),
    },
  ],
  ...(fields.withUsage ? { usage: null } : {}),
});

export const chatUsageChunk = (envelope: Envelope, usage: Usage) => ({
  ...envelope,
  object: 'chat.completion.chunk',
  choices: [],
  usage: usageBody(usage),
});
