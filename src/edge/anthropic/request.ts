import { bad, flag, given, ignored, list, number, oneOf, read, record, refused, required, text } from '../fields.ts';
import type { Field } from '../fields.ts';
import { contentOf, firstImage, imageSource } from '../images.ts';
import type { SaidPart } from '../images.ts';

const textOnly = 'only text stands there';
const loose: Field<undefined> = ignored;

const textBlock = { type: text, text, cache_control: loose, citations: loose } as const;

const imageBlock: Field<SaidPart> = (value, param) => {
  const { source } = read(value, { type: text, source: imageSource, cache_control: loose }, `${param}.`);
  return { kind: 'image', url: required(source, `${param}.source`), at: param };
};

const said: Field<SaidPart> = (value, param) => {
  const { type } = record(value, param);
  if (type === 'image') return imageBlock(value, param);
  const { text: words } = read(value, textBlock, `${param}.`);
  if (type !== 'text')
    throw bad(`${param}.type`, `${param} is of the type ${String(type)}: text and images are taken.`);
  return { kind: 'text', text: required(words, `${param}.text`) };
};

/** Text, or blocks of it. */
const words: Field<string> = (value, param) => {
  if (typeof value === 'string') return value;
  const block: Field<string> = (one, at) => {
    const { type, text: said } = read(one, textBlock, `${at}.`);
    if (type !== 'text') throw bad(`${at}.type`, `${at} is of the type ${String(type)}: ${textOnly}.`);
    return required(said, `${at}.text`);
  };
  return list(block)(value, param).join('');
};

type Block =
  | SaidPart
  | { readonly kind: 'call'; readonly id: string; readonly name: string; readonly json: string }
  | { readonly kind: 'result'; readonly id: string; readonly parts: readonly SaidPart[]; readonly failed: boolean }
  /** What the model thought aloud in an earlier turn is not told to it again. */
  | { readonly kind: 'nothing' };

const toldParts: Field<readonly SaidPart[]> = (value, param) =>
  typeof value === 'string' ? [{ kind: 'text', text: value }] : list(said)(value, param);

const blockReaders: Readonly<Record<string, (value: unknown, at: string) => Block>> = {
  text: said,
  image: said,
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
    const fields = { type: text, tool_use_id: text, content: toldParts, is_error: flag, cache_control: loose };
    const { tool_use_id: id, content: parts = [], is_error: failed = false } = read(value, fields, `${at}.`);
    return { kind: 'result', id: required(id, `${at}.tool_use_id`), parts, failed };
  },
  thinking: () => ({ kind: 'nothing' }),
  redacted_thinking: () => ({ kind: 'nothing' }),
};

const block: Field<Block> = (value, param) => {
  const { type } = record(value, param);
  const reader = typeof type === 'string' && Object.hasOwn(blockReaders, type) ? blockReaders[type] : undefined;
  if (!reader) throw bad(`${param}.type`, `${param} is of the type ${String(type)}: text, images and tools are taken.`);
  return reader(value, param);
};

const content: Field<readonly Block[]> = (value, param) =>
  typeof value === 'string' ? [{ kind: 'text', text: value }] : list(block)(value, param);

/** What one message becomes, and where its first image is. */
interface Turn {
  readonly messages: Record<string, unknown>[];
  readonly image: string | undefined;
}

const message: Field<Turn> = (value, param) => {
  const fields = { role: oneOf('user', 'assistant'), content, id: loose, type: loose, model: loose };
  const { role, content: blocks } = read(value, fields, `${param}.`);
  return messagesOf(required(role, `${param}.role`), required(blocks, `${param}.content`), param);
};

const isSaid = (block: Block): block is SaidPart => block.kind === 'text' || block.kind === 'image';
const isImage = ({ kind }: SaidPart): boolean => kind === 'image';

/** OpenAI's API has no mark for a failure: the model is told in words. */
const toldOf = (parts: readonly SaidPart[], failed: boolean): string =>
  `${failed ? 'Error: ' : ''}${parts.map((part) => (part.kind === 'text' ? part.text : '')).join('')}`;

/**
 * Results are messages of their own in OpenAI's API, and come before what the user says. They are text there: an image in one
 * is shown as the user's.
 */
function messagesOf(role: 'user' | 'assistant', blocks: readonly Block[], param: string): Turn {
  const parts = blocks.filter(isSaid);
  const calls = blocks.flatMap((one) =>
    one.kind === 'call' ? [{ id: one.id, type: 'function', function: { name: one.name, arguments: one.json } }] : [],
  );
  const results = blocks.flatMap((one) =>
    one.kind === 'result' ? [{ role: 'tool', tool_call_id: one.id, content: toldOf(one.parts, one.failed) }] : [],
  );
  if (role === 'assistant') {
    if (results.length > 0) throw bad(`${param}.content`, `${param}: a tool_result belongs to the user.`);
    const image = firstImage(parts);
    if (image !== undefined) throw bad(image, `${image} is an image: those belong to the user.`);
    const said = { role, content: contentOf(parts), ...(calls.length === 0 ? {} : { tool_calls: calls }) };
    return { messages: [said], image };
  }
  if (calls.length > 0) throw bad(`${param}.content`, `${param}: a tool_use belongs to the assistant.`);
  const shown = blocks.flatMap((one) => (one.kind === 'result' ? one.parts.filter(isImage) : []));
  const content = contentOf([...shown, ...parts]);
  const own = content === '' && results.length > 0 ? [] : [{ role, content }];
  return { messages: [...results, ...own], image: firstImage([...shown, ...parts]) };
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

const asking = {
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
  ...asking,
  max_tokens: number({ min: 1, integer: true }),
  stop_sequences: list(text),
  stream: flag,
  temperature: number({ min: 0, max: 1 }),
  top_p: number({ min: 0, max: 1 }),
  top_k: number({ min: 0, integer: true }),
  metadata: loose,
  service_tier: loose,
  inference_geo: loose,
  diagnostics: refused('nothing is told of a request but its usage'),
  speed: refused('there is one speed', 'standard'),
  container: refused('nothing is run here for an answer'),
} as const;

export interface MessagesCall {
  readonly model: string;
  readonly body: Record<string, unknown>;
  readonly stream: boolean;
  /** Where its first image is. */
  readonly image: string | undefined;
}

/** A request for a message as one for a chat completion. */
export function messagesCall(value: unknown): MessagesCall {
  const params = read(value, messageFields);
  const { stop_sequences: stop, stream = false, temperature, top_p, top_k } = params;
  const max_tokens = required(params.max_tokens, 'max_tokens');
  const sampling = given({ max_tokens, temperature, top_p, top_k, stop: stop?.length === 0 ? undefined : stop });
  const streaming = stream ? { stream, stream_options: { include_usage: true } } : {};
  const { body, ...asked } = conversationOf(params);
  return { ...asked, body: { ...body, ...sampling, ...streaming }, stream };
}

/** The same for a count of tokens. */
export const countCall = (value: unknown): Omit<MessagesCall, 'stream'> => conversationOf(read(value, asking));

type Conversation = Pick<
  ReturnType<typeof read<typeof asking>>,
  'model' | 'messages' | 'system' | 'tools' | 'tool_choice' | 'output_config' | 'output_format'
>;

function conversationOf(params: Conversation): Omit<MessagesCall, 'stream'> {
  const { system = '', tools = [], tool_choice: choice = {} } = params;
  const turns = required(params.messages, 'messages');
  const instructions = system === '' ? [] : [{ role: 'system', content: system }];
  const messages = [...instructions, ...turns.flatMap((turn) => turn.messages)];
  const form = params.output_config ?? params.output_format;
  return {
    model: required(params.model, 'model'),
    image: turns.find(({ image }) => image !== undefined)?.image,
    body: given({ messages, tools: tools.length === 0 ? undefined : tools, response_format: form, ...choice }),
  };
}
