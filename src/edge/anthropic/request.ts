import { bad, flag, given, ignored, list, number, oneOf, read, record, refused, required, text } from '../fields.ts';
import type { Field } from '../fields.ts';

const noImages = 'this model takes only text';
const loose: Field<undefined> = ignored;

const textBlock = { type: text, text, cache_control: loose, citations: loose } as const;

/** Text, or blocks of it. */
const words: Field<string> = (value, param) => {
  if (typeof value === 'string') return value;
  const block: Field<string> = (one, at) => {
    const { type, text: said } = read(one, textBlock, `${at}.`);
    if (type !== 'text') throw bad(`${at}.type`, `${at} is of the type ${String(type)}: ${noImages}.`);
    return required(said, `${at}.text`);
  };
  return list(block)(value, param).join('');
};

type Block =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'call'; readonly id: string; readonly name: string; readonly json: string }
  | { readonly kind: 'result'; readonly id: string; readonly text: string }
  /** What the model thought aloud in an earlier turn is not told to it again. */
  | { readonly kind: 'nothing' };

const blockReaders: Readonly<Record<string, (value: unknown, at: string) => Block>> = {
  text: (value, at) => ({ kind: 'text', text: required(read(value, textBlock, `${at}.`).text, `${at}.text`) }),
  tool_use(value, at) {
    const fields = { type: text, id: text, name: text, input: record, cache_control: loose, caller: loose };
    const { id, name, input = {} } = read(value, fields, `${at}.`);
    return {
      kind: 'call',
      id: required(id, `${at}.id`),
      name: required(name, `${at}.name`),
      json: JSON.stringify(input),
    };
  },
  tool_result(value, at) {
    const fields = { type: text, tool_use_id: text, content: words, is_error: flag, cache_control: loose };
    const { tool_use_id: id, content = '', is_error: failed = false } = read(value, fields, `${at}.`);
    // OpenAI's API has no mark for it: the model is told in words.
    return { kind: 'result', id: required(id, `${at}.tool_use_id`), text: failed ? `Error: ${content}` : content };
  },
  thinking: () => ({ kind: 'nothing' }),
  redacted_thinking: () => ({ kind: 'nothing' }),
};

const block: Field<Block> = (value, param) => {
  const { type } = record(value, param);
  const reader = typeof type === 'string' && Object.hasOwn(blockReaders, type) ? blockReaders[type] : undefined;
  if (!reader) throw bad(`${param}.type`, `${param} is of the type ${String(type)}: ${noImages}, and tools.`);
  return reader(value, param);
};

const content: Field<readonly Block[]> = (value, param) =>
  typeof value === 'string' ? [{ kind: 'text', text: value }] : list(block)(value, param);

const message: Field<Record<string, unknown>[]> = (value, param) => {
  const fields = { role: oneOf('user', 'assistant'), content, id: loose, type: loose, model: loose };
  const { role, content: blocks } = read(value, fields, `${param}.`);
  return messagesOf(required(role, `${param}.role`), required(blocks, `${param}.content`), param);
};

/** Results are messages of their own in OpenAI's API, and come before what the user says. */
function messagesOf(role: 'user' | 'assistant', blocks: readonly Block[], param: string): Record<string, unknown>[] {
  const said = blocks.flatMap((one) => (one.kind === 'text' ? [one.text] : [])).join('');
  const calls = blocks.flatMap((one) =>
    one.kind === 'call' ? [{ id: one.id, type: 'function', function: { name: one.name, arguments: one.json } }] : [],
  );
  const results = blocks.flatMap((one) =>
    one.kind === 'result' ? [{ role: 'tool', tool_call_id: one.id, content: one.text }] : [],
  );
  if (role === 'assistant') {
    if (results.length > 0) throw bad(`${param}.content`, `${param}: a tool_result belongs to the user.`);
    return [{ role, content: said, ...(calls.length === 0 ? {} : { tool_calls: calls }) }];
  }
  if (calls.length > 0) throw bad(`${param}.content`, `${param}: a tool_use belongs to the assistant.`);
  return [...results, ...(said === '' && results.length > 0 ? [] : [{ role, content: said }])];
}

const tool: Field<Record<string, unknown>> = (value, param) => {
  const { type } = record(value, param);
  if (type !== undefined && type !== null && type !== 'custom') {
    throw bad(
      `${param}.type`,
      `${param} is of the type ${String(type)}: only tools of the client's own are supported.`,
    );
  }
  const fields = {
    ...{ type: text, name: text, description: text, input_schema: record, strict: flag },
    ...{ cache_control: loose, input_examples: loose, eager_input_streaming: loose },
    defer_loading: refused('tools are told to the model at once', false),
    allowed_callers: refused('tools are called by the model only', ['direct']),
  };
  const { name, description, input_schema: parameters, strict } = read(value, fields, `${param}.`);
  return {
    type: 'function',
    function: given({ name: required(name, `${param}.name`), description, parameters, strict }),
  };
};

const toolChoice: Field<Record<string, unknown>> = (value, param) => {
  const fields = { type: oneOf('auto', 'any', 'tool', 'none'), name: text, disable_parallel_tool_use: flag };
  const { type, name, disable_parallel_tool_use: single } = read(value, fields, `${param}.`);
  const parallel = single === true ? { parallel_tool_calls: false } : {};
  const kind = required(type, `${param}.type`);
  if (kind === 'tool') {
    const named = { type: 'function', function: { name: required(name, `${param}.name`) } };
    return { tool_choice: named, ...parallel };
  }
  return { tool_choice: kind === 'any' ? 'required' : kind, ...parallel };
};

/** A form that the answer keeps to. */
const format: Field<Record<string, unknown>> = (value, param) => {
  const { type, schema } = read(value, { type: oneOf('json_schema'), schema: record, name: text }, `${param}.`);
  required(type, `${param}.type`);
  const json_schema = { name: 'answer', schema: required(schema, `${param}.schema`) };
  return { type: 'json_schema', json_schema };
};

const outputConfig: Field<Record<string, unknown> | undefined> = (value, param) => {
  const fields = { format, effort: refused('the model decides how long it reasons') };
  return read(value, fields, `${param}.`).format;
};

const asked = {
  model: text,
  messages: list(message, 1),
  system: words,
  tools: list(tool),
  tool_choice: toolChoice,
  thinking: refused('the model decides how long it reasons', { type: 'disabled' }),
  cache_control: loose,
  output_config: outputConfig,
  output_format: format,
  mcp_servers: refused('servers of tools are for the caller to ask', []),
  context_management: refused('a conversation is taken as it is', { edits: [] }),
} as const;

const messageFields = {
  ...asked,
  max_tokens: number({ min: 1, integer: true }),
  stop_sequences: list(text),
  stream: flag,
  temperature: number({ min: 0, max: 1 }),
  top_p: number({ min: 0, max: 1 }),
  top_k: number({ min: 0, integer: true }),
  metadata: loose,
  service_tier: loose,
  inference_geo: loose,
  speed: refused('there is one speed', 'standard'),
  container: refused('nothing is run here for an answer'),
} as const;

export interface MessagesCall {
  readonly model: string;
  readonly body: Record<string, unknown>;
  readonly stream: boolean;
}

/** A request for a message as one for a chat completion. */
export function messagesCall(value: unknown): MessagesCall {
  const params = read(value, messageFields);
  const { stop_sequences: stop, stream = false, temperature, top_p, top_k } = params;
  const max_tokens = required(params.max_tokens, 'max_tokens');
  const sampling = given({ max_tokens, temperature, top_p, top_k, stop: stop?.length === 0 ? undefined : stop });
  const streaming = stream ? { stream, stream_options: { include_usage: true } } : {};
  const { model, body } = conversationOf(params);
  return { model, body: { ...body, ...sampling, ...streaming }, stream };
}

/** The same for a count of tokens. */
export const countCall = (value: unknown): Omit<MessagesCall, 'stream'> => conversationOf(read(value, asked));

type Conversation = Pick<
  ReturnType<typeof read<typeof asked>>,
  'model' | 'messages' | 'system' | 'tools' | 'tool_choice' | 'output_config' | 'output_format'
>;

function conversationOf(params: Conversation): Omit<MessagesCall, 'stream'> {
  const { system = '', tools = [], tool_choice: choice = {} } = params;
  const said = required(params.messages, 'messages').flat();
  const messages = [...(system === '' ? [] : [{ role: 'system', content: system }]), ...said];
  const form = params.output_config ?? params.output_format;
  return {
    model: required(params.model, 'model'),
    body: given({ messages, tools: tools.length === 0 ? undefined : tools, response_format: form, ...choice }),
  };
}
