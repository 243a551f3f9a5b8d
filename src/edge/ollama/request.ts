import { parseDuration } from '#kernel/quantities';
import { asIs, bad, flag, given, ignored, list, oneOf, read, record, refused, required, text } from '../fields.ts';
import type { Field } from '../fields.ts';
import { base64Image, contentOf, firstImage } from '../images.ts';
import type { SaidPart } from '../images.ts';
import { noOptions, options, usual } from './options.ts';
import type { OllamaOptions } from './options.ts';

/** How long a model stays after its answer: milliseconds, Infinity for as long as there is room, null for as usual. */
export type KeepAlive = number | null;

const keepAlive: Field<KeepAlive> = (value, param) => {
  if (typeof value === 'number') return value < 0 ? Infinity : value * 1000;
  const said = text(value, param);
  if (/^-\d/.test(said)) return Infinity;
  // Go's way of writing durations: 1h30m, 90s, 500ms; a plain number is seconds.
  if (/^\d+(\.\d+)?$/.test(said)) return Number(said) * 1000;
  const parts = said.match(/\d+(?:\.\d+)?(?:ms|[smh])/g);
  if (!parts || parts.join('') !== said)
    throw bad(param, `${param} must be a duration as in 5m, or a number of seconds.`);
  return parts.reduce((sum, part) => sum + (parseDuration(part) ?? 0), 0);
};

const image: Field<SaidPart> = (value, at) => ({ kind: 'image', url: base64Image(value, at), at });

/** As Ollama has it: first what is shown, then what is said of it. */
const contentWith = (images: readonly SaidPart[] = [], content = '') =>
  contentOf([...images, ...(content === '' && images.length > 0 ? [] : [{ kind: 'text' as const, text: content }])]);

const format: Field<unknown> = (value, param) => {
  if (value === '') return undefined;
  if (value === 'json') return { type: 'json_object' };
  if (typeof value === 'string') throw bad(param, `${param} must be "json" or a JSON schema.`);
  return { type: 'json_schema', json_schema: { name: 'format', schema: record(value, param) } };
};

const common = {
  model: text,
  // Its older name.
  name: text,
  stream: flag,
  format,
  keep_alive: keepAlive,
  options,
  think: refused('the model decides how long it reasons', false),
  logprobs: refused('probabilities are not reported', false),
  top_logprobs: refused('probabilities are not reported', 0),
  truncate: refused('a prompt that is too long is refused, and never cut', false, true),
  shift: refused('a context that is full ends the answer', false, true),
  _debug_render_only: refused('nothing but answers is rendered', false),
} as const;

interface Called {
  readonly id: string | undefined;
  readonly name: string;
  readonly json: string;
}

const functionCall: Field<Called> = (value, param) => {
  const fields = { id: text, type: ignored, function: record };
  const { id, function: called } = read(value, fields, `${param}.`);
  const at = `${param}.function`;
  const one = read(required(called, at), { name: text, arguments: record, index: ignored }, `${at}.`);
  return { id, name: required(one.name, `${at}.name`), json: JSON.stringify(one.arguments ?? {}) };
};

const messageFields = {
  role: oneOf('system', 'user', 'assistant', 'tool'),
  content: text,
  thinking: ignored,
  images: list(image),
  tool_calls: list(functionCall),
  tool_name: text,
  tool_call_id: text,
} as const;

type Message = ReturnType<typeof readMessage>;
const readMessage = (value: unknown, param: string) => {
  const message = read(value, messageFields, `${param}.`);
  const role = required(message.role, `${param}.role`);
  if (role !== 'user' && firstImage(message.images ?? []) !== undefined)
    throw bad(`${param}.images`, `${param}.images belongs to a message of the role user.`);
  return { ...message, role };
};

/** What a call of a model comes to, in OpenAI's API. */
export interface OllamaCall {
  readonly model: string;
  /** Null when nothing is asked: then the model is only loaded, or unloaded. */
  readonly path: '/v1/chat/completions' | '/v1/completions' | null;
  readonly body: Record<string, unknown>;
  /** Where neither the body nor the configuration says anything. */
  readonly usual: Readonly<Record<string, unknown>>;
  readonly stream: boolean;
  readonly keepAlive: KeepAlive;
  readonly options: OllamaOptions;
  /** Where its first image is. */
  readonly image: string | undefined;
}

export function chatCall(body: unknown): OllamaCall {
  const params = read(body, { ...common, messages: list(readMessage), tools: list(asIs) });
  const { messages = [], tools } = params;
  const shown = messages.flatMap(({ images = [] }) => images);
  return callOf({ ...params, shown }, messages.length === 0 ? null : '/v1/chat/completions', {
    messages: messagesOf(messages),
    ...(tools && tools.length > 0 ? { tools } : {}),
    ...(params.format === undefined ? {} : { response_format: params.format }),
  });
}

/**
 * Ollama's calls need no ids: results then follow their calls in order, perhaps with the tool's name. OpenAI's have them, so
 * that those which are missing are made here.
 */
function messagesOf(messages: readonly Message[]): Record<string, unknown>[] {
  const open: { readonly id: string; readonly name: string }[] = [];
  return messages.map((message, index) => {
    const { role, content = '', tool_calls: calls = [] } = message;
    if (role === 'tool') {
      const byId = open.findIndex(({ id }) => id === message.tool_call_id);
      const found = byId < 0 ? open.findIndex(({ name }) => name === message.tool_name) : byId;
      const [answered] = open.splice(Math.max(0, found), 1);
      return { role, content, tool_call_id: answered?.id ?? message.tool_call_id ?? `call_${index}` };
    }
    if (calls.length === 0) return { role, content: contentWith(message.images, content) };
    const made = calls.map(({ id: own, name, json }, at) => {
      const id = own ?? `call_${index}_${at}`;
      open.push({ id, name });
      return { id, type: 'function', function: { name, arguments: json } };
    });
    return { role, content, tool_calls: made };
  });
}

const generateFields = {
  ...common,
  prompt: text,
  system: text,
  raw: flag,
  images: list(image),
  suffix: refused('text is only generated at the end', ''),
  template: refused("the model's own template is used; with raw a prompt goes in as it is", ''),
  context: refused('a conversation is told by its messages: use /api/chat', []),
  width: refused('no images are made'),
  height: refused('no images are made'),
  steps: refused('no images are made'),
} as const;

export function generateCall(body: unknown): OllamaCall {
  const params = read(body, generateFields);
  const { prompt = '', system, raw = false, images: shown = [] } = params;
  if (raw && (system ?? '') !== '')
    throw bad('system', 'system is not supported with raw: the prompt goes in as it is.');
  if (raw && params.format !== undefined) throw bad('format', 'format is not supported with raw.');
  if (raw && shown.length > 0) throw bad('images', 'images is not supported with raw: the prompt goes in as it is.');
  if (prompt === '' && shown.length === 0) return callOf(params, null, {});
  if (raw) return callOf(params, '/v1/completions', { prompt });
  const instructions = system ? [{ role: 'system', content: system }] : [];
  return callOf({ ...params, shown }, '/v1/chat/completions', {
    messages: [...instructions, { role: 'user', content: contentWith(shown, prompt) }],
    ...(params.format === undefined ? {} : { response_format: params.format }),
  });
}

interface CommonParams {
  readonly model: string | undefined;
  readonly name: string | undefined;
  readonly stream: boolean | undefined;
  readonly keep_alive: KeepAlive | undefined;
  readonly options: OllamaOptions | undefined;
  readonly shown?: readonly SaidPart[];
}

function callOf(params: CommonParams, path: OllamaCall['path'], body: Record<string, unknown>): OllamaCall {
  const { options: asked = noOptions } = params;
  // Ollama's own limit for raw prompts is the context; OpenAI's default would be 16.
  const room = path === '/v1/completions' ? { max_tokens: rawTokens } : {};
  return {
    model: required(params.model ?? params.name, 'model'),
    path,
    usual: { ...usual, ...room },
    body: given({ ...asked.sampling, ...body, stream: true, stream_options: { include_usage: true } }),
    stream: params.stream ?? true,
    keepAlive: params.keep_alive ?? null,
    options: asked,
    image: firstImage(params.shown ?? []),
  };
}

/** More than any context: the engine ends where its own is full. */
const rawTokens = 1_000_000;

const input: Field<string | readonly string[]> = (value, param) =>
  typeof value === 'string' ? value : list(text)(value, param);

export interface EmbedCall {
  readonly model: string;
  readonly body: Record<string, unknown>;
  readonly keepAlive: KeepAlive;
}

const embedFields = { model: text, name: text, keep_alive: keepAlive, options } as const;
// Ollama cuts what is too long unless told not to. Here it is an error, which says how long it was.
const truncate = flag;

export function embedCall(body: unknown): EmbedCall {
  const params = read(body, { ...embedFields, input, truncate, dimensions: asIs });
  const { dimensions } = params;
  return {
    model: required(params.model ?? params.name, 'model'),
    body: given({ input: required(params.input, 'input'), encoding_format: 'float', dimensions }),
    keepAlive: params.keep_alive ?? null,
  };
}

/** The older form: one text, one vector. */
export function embeddingsCall(body: unknown): EmbedCall {
  const params = read(body, { ...embedFields, prompt: text });
  return {
    model: required(params.model ?? params.name, 'model'),
    body: { input: required(params.prompt, 'prompt'), encoding_format: 'float' },
    keepAlive: params.keep_alive ?? null,
  };
}

/** The model that a call about a model names. */
export function namedModel(body: unknown, more: Readonly<Record<string, Field<unknown>>> = {}) {
  const params = read(body, { model: text, name: text, stream: flag, ...more });
  return { model: required(params.model ?? params.name, 'model'), stream: params.stream ?? true };
}
