import {
  asIs,
  bad,
  flag,
  given,
  ignored,
  list,
  number,
  oneOf,
  read,
  record,
  refused,
  required,
  text,
} from '../fields.ts';
import type { Field } from '../fields.ts';
import { contentOf, firstImage } from '../images.ts';
import type { SaidPart } from '../images.ts';

const textOnly = 'only text stands there';

const part: Field<string> = (value, param) => {
  const { type } = record(value, param);
  if (!['input_text', 'output_text', 'text'].includes(String(type))) {
    throw bad(`${param}.type`, `${param} is of the type ${String(type)}: ${textOnly}.`);
  }
  const fields = { type: text, text, annotations: ignored, logprobs: ignored };
  return required(read(value, fields, `${param}.`).text, `${param}.text`);
};

const words: Field<string> = (value, param) => (typeof value === 'string' ? value : list(part)(value, param).join(''));

/** An image stands at an address, or in one that holds it. */
const imageAddress: Field<string> = (value, param) => {
  const url = text(value, param);
  if (/^(https?:\/\/.|data:image\/)/.test(url)) return url;
  throw bad(param, `${param} must be an address with http or https, or one with the image in it (data:image/...).`);
};

const imageFields = {
  type: text,
  image_url: imageAddress,
  detail: oneOf('auto', 'low', 'high', 'original'),
  file_id: refused('no files are kept here'),
} as const;

const said: Field<SaidPart> = (value, param) => {
  const { type } = record(value, param);
  if (type !== 'input_image') return { kind: 'text', text: part(value, param) };
  const { image_url: url, detail } = read(value, imageFields, `${param}.`);
  return { kind: 'image', url: required(url, `${param}.image_url`), detail, at: param };
};

const saidParts: Field<readonly SaidPart[]> = (value, param) =>
  typeof value === 'string' ? [{ kind: 'text', text: value }] : list(said)(value, param);

type Message = Record<string, unknown>;

/** What an item becomes, and where its first image is. */
interface Turn {
  readonly message: Message | null;
  readonly image?: string | undefined;
}

const itemFields = { type: text, id: ignored, status: ignored, phase: ignored } as const;

const readers: Readonly<Record<string, (value: unknown, at: string) => Turn>> = {
  message(value, at) {
    const fields = { ...itemFields, role: oneOf('user', 'assistant', 'system', 'developer'), content: saidParts };
    const { role, content } = read(value, fields, `${at}.`);
    const parts = required(content, `${at}.content`);
    const image = firstImage(parts);
    if (image !== undefined && role !== 'user') throw bad(image, `${image} is an image: those belong to the user.`);
    return { message: { role: required(role, `${at}.role`), content: contentOf(parts) }, image };
  },
  function_call(value, at) {
    const fields = { ...itemFields, call_id: text, name: text, arguments: text, namespace: ignored };
    const { call_id: id, name, arguments: json = '{}' } = read(value, fields, `${at}.`);
    const called = { name: required(name, `${at}.name`), arguments: json };
    const tool_calls = [{ id: required(id, `${at}.call_id`), type: 'function', function: called }];
    return { message: { role: 'assistant', content: '', tool_calls } };
  },
  function_call_output(value, at) {
    const { call_id: id, output } = read(value, { ...itemFields, call_id: text, output: words }, `${at}.`);
    const content = required(output, `${at}.output`);
    return { message: { role: 'tool', tool_call_id: required(id, `${at}.call_id`), content } };
  },
  // What a model thought aloud in an earlier turn is not told to it again.
  reasoning: () => ({ message: null }),
};

const item: Field<Turn> = (value, param) => {
  const { type = 'message' } = record(value, param);
  const reader = typeof type === 'string' && Object.hasOwn(readers, type) ? readers[type] : undefined;
  if (!reader) throw bad(`${param}.type`, `${param} is of the type ${String(type)}, which is not supported here.`);
  return reader(value, param);
};

const input: Field<readonly Turn[]> = (value, param) =>
  typeof value === 'string' ? [{ message: { role: 'user', content: value } }] : list(item, 1)(value, param);

/** What the assistant said and called in one turn is one message in the chat API. */
function joined(turns: readonly Turn[]): Message[] {
  const messages: Message[] = [];
  for (const { message: one } of turns) {
    const last = messages.at(-1);
    if (one === null) continue;
    if (last?.role === 'assistant' && one.role === 'assistant' && one.tool_calls) {
      const calls = [...((last.tool_calls as unknown[] | undefined) ?? []), ...(one.tool_calls as unknown[])];
      messages[messages.length - 1] = { ...last, tool_calls: calls };
    } else messages.push(one);
  }
  return messages;
}

const tool: Field<Record<string, unknown>> = (value, param) => {
  const { type } = record(value, param);
  if (type !== 'function') {
    throw bad(
      `${param}.type`,
      `${param} is of the type ${String(type)}: only functions of the client's own are supported.`,
    );
  }
  const fields = { type: text, name: text, description: text, parameters: record, strict: flag };
  const { name, description, parameters, strict } = read(value, fields, `${param}.`);
  return { type, function: given({ name: required(name, `${param}.name`), description, parameters, strict }) };
};

const named = (value: unknown, param: string): Record<string, unknown> => {
  const { name } = read(value, { type: oneOf('function'), name: text }, `${param}.`);
  return { type: 'function', function: { name: required(name, `${param}.name`) } };
};

const toolChoice: Field<unknown> = (value, param) => {
  if (typeof value === 'string') return oneOf('none', 'auto', 'required')(value, param);
  const { type } = record(value, param);
  if (type !== 'allowed_tools') return named(value, param);
  const fields = { type: text, mode: oneOf('auto', 'required'), tools: list(named, 1) };
  const { mode, tools } = read(value, fields, `${param}.`);
  return { type, allowed_tools: { mode: required(mode, `${param}.mode`), tools: required(tools, `${param}.tools`) } };
};

const format: Field<Record<string, unknown> | undefined> = (value, param) => {
  const fields = {
    ...{ type: oneOf('text', 'json_object', 'json_schema'), name: text, description: text },
    ...{ schema: record, strict: flag },
  };
  const { type, ...schema } = read(value, fields, `${param}.`);
  const kind = required(type, `${param}.type`);
  if (kind === 'text') return undefined;
  return kind === 'json_object' ? { type: kind } : { type: kind, json_schema: given(schema) };
};

const textFields: Field<Record<string, unknown> | undefined> = (value, param) => {
  const fields = { format, verbosity: refused('say in the prompt how long the answer should be', 'medium') };
  return read(value, fields, `${param}.`).format;
};

const nothingKept = 'nothing is kept of an answer: send the whole conversation';
const reasons = 'the model decides how long it reasons';

const fields = {
  model: text,
  input,
  instructions: text,
  max_output_tokens: number({ min: 1, integer: true }),
  temperature: number({ min: 0, max: 2 }),
  top_p: number({ min: 0, max: 1 }),
  stream: flag,
  stream_options: refused('streams are not padded', {}, { include_obfuscation: false }),
  tools: list(tool),
  tool_choice: toolChoice,
  parallel_tool_calls: flag,
  text: textFields,
  store: refused(nothingKept, false),
  previous_response_id: refused(nothingKept),
  conversation: refused(nothingKept),
  background: refused('an answer is waited for', false),
  include: refused('there is nothing more to tell', []),
  reasoning: refused(reasons, {}),
  max_tool_calls: refused("only tools of the client's own are called"),
  prompt: refused('prompts are not kept here'),
  top_logprobs: refused('probabilities are not reported', 0),
  truncation: refused('what is too long is refused, and never cut', 'disabled'),
  context_management: refused('a conversation is taken as it is', []),
  metadata: asIs,
  user: ignored,
  safety_identifier: ignored,
  prompt_cache_key: ignored,
  prompt_cache_retention: ignored,
  prompt_cache_options: ignored,
  moderation: refused('nothing is judged here'),
  service_tier: ignored,
} as const;

export interface ResponsesCall {
  readonly model: string;
  readonly body: Record<string, unknown>;
  readonly stream: boolean;
  /** What an answer says again of its request. */
  readonly echo: Record<string, unknown>;
  /** Where its first image is. */
  readonly image: string | undefined;
}

/** A request for a response as one for a chat completion. */
export function responsesCall(value: Readonly<Record<string, unknown>>): ResponsesCall {
  const params = read(value, fields);
  const { instructions, stream = false, temperature, top_p, tools = [], parallel_tool_calls: parallel } = params;
  const turns = required(params.input, 'input');
  const said = joined(turns);
  const messages = instructions === undefined ? said : [{ role: 'system', content: instructions }, ...said];
  const body = given({
    ...{ messages, temperature, top_p, max_tokens: params.max_output_tokens, response_format: params.text },
    ...(tools.length === 0 ? {} : { tools, parallel_tool_calls: parallel }),
    ...(tools.length === 0 && isFree(params.tool_choice) ? {} : { tool_choice: params.tool_choice }),
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
  });
  const image = turns.find((turn) => turn.image !== undefined)?.image;
  return { model: required(params.model, 'model'), body, stream, echo: echoOf(value), image };
}

/** Without tools these ask for nothing, and clients send them all the same. */
const isFree = (choice: unknown): boolean => choice === undefined || choice === 'auto' || choice === 'none';

const echoOf = (value: Readonly<Record<string, unknown>>): Record<string, unknown> => ({
  instructions: value.instructions ?? null,
  max_output_tokens: value.max_output_tokens ?? null,
  metadata: value.metadata ?? {},
  parallel_tool_calls: value.parallel_tool_calls ?? true,
  previous_response_id: null,
  reasoning: { effort: null, summary: null },
  store: false,
  temperature: value.temperature ?? 1,
  text: value.text ?? { format: { type: 'text' } },
  tool_choice: value.tool_choice ?? 'auto',
  tools: value.tools ?? [],
  top_p: value.top_p ?? 1,
  truncation: 'disabled',
});
