import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Anthropic from '@anthropic-ai/sdk';
import type { ChatRequest, EmbedRequest, GenerateRequest, Options } from 'ollama';
import type OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { messagesCall } from './anthropic/request.ts';
import { chatCall, embedCall, generateCall } from './ollama/request.ts';
import { rerankCall } from './rerank.ts';
import { responsesCall } from './responses/request.ts';

/*
 * Every parameter that the clients of an API have a type for is taken or refused by name: a release of a client that knows one
 * more does not compile here until somebody has decided about it. Those of the engines are beside them (../../catalog/services).
 */

/** A value that asks for something, and whether it is taken. */
type Case = { readonly takes: unknown } | { readonly refuses: unknown };
const takes = (value: unknown): Case => ({ takes: value });
const refuses = (value: unknown): Case => ({ refuses: value });

const messages = [{ role: 'user', content: 'hi' }];
const schema = { type: 'object', properties: {} };

/** What the client sends as headers. */
type Headers = 'user_profile_id' | 'workspace_id';
const anthropic: Readonly<Record<Exclude<keyof Anthropic.MessageCreateParams, Headers>, Case>> = {
  model: takes('m'),
  max_tokens: takes(5),
  messages: takes(messages),
  system: takes('Be brief.'),
  stream: takes(true),
  stop_sequences: takes(['x']),
  tools: takes([{ name: 'f', input_schema: schema }]),
  tool_choice: takes({ type: 'any', disable_parallel_tool_use: true }),
  output_config: takes({ format: { type: 'json_schema', schema } }),
  thinking: refuses({ type: 'enabled', budget_tokens: 1024 }),
  container: refuses('c'),
  speed: refuses('fast'),
  diagnostics: refuses({ previous_message_id: 'm' }),
  // About Anthropic's own servers and accounts.
  metadata: takes({ user_id: 'u' }),
  service_tier: takes('auto'),
  inference_geo: takes('eu'),
  cache_control: takes({ type: 'ephemeral' }),
};

/** Older ones, and some that are tried out under headers of their own. */
const anthropicBeta: Readonly<Record<string, Case>> = {
  temperature: takes(0.5),
  top_k: takes(3),
  top_p: takes(0.5),
  mcp_servers: refuses([{ type: 'url', url: 'https://example.org', name: 'x' }]),
  context_management: refuses({ edits: [{ type: 'clear_tool_uses_20250919' }] }),
  output_format: takes({ type: 'json_schema', schema }),
  'output_config.effort': refuses('high'),
};

const responses: Readonly<Record<keyof OpenAI.Responses.ResponseCreateParams, Case>> = {
  model: takes('m'),
  input: takes('hi'),
  instructions: takes('Be brief.'),
  max_output_tokens: takes(5),
  temperature: takes(1),
  top_p: takes(0.5),
  stream: takes(true),
  stream_options: refuses({ include_obfuscation: true }),
  tools: takes([{ type: 'function', name: 'f', parameters: schema, strict: false }]),
  tool_choice: takes('required'),
  parallel_tool_calls: takes(false),
  text: takes({ format: { type: 'json_schema', name: 'n', schema } }),
  store: refuses(true),
  previous_response_id: refuses('r'),
  conversation: refuses('c'),
  background: refuses(true),
  include: refuses(['reasoning.encrypted_content']),
  reasoning: refuses({ effort: 'low' }),
  prompt: refuses({ id: 'p' }),
  top_logprobs: refuses(3),
  truncation: refuses('auto'),
  context_management: refuses([{ type: 'compaction' }]),
  moderation: refuses({ model: 'x' }),
  metadata: takes({ a: 'b' }),
  user: takes('u'),
  safety_identifier: takes('u'),
  service_tier: takes('auto'),
  prompt_cache_key: takes('k'),
  prompt_cache_options: takes({}),
  prompt_cache_retention: takes('24h'),
};

type Common = Exclude<keyof ChatRequest & keyof GenerateRequest, 'options'>;
const ollama: Readonly<Record<Common, Case>> = {
  model: takes('m'),
  stream: takes(false),
  format: takes(schema),
  keep_alive: takes('5m'),
  think: refuses(true),
  logprobs: refuses(true),
  top_logprobs: refuses(2),
};

const ollamaChat: Readonly<Record<Exclude<keyof ChatRequest, Common | 'options'>, Case>> = {
  messages: takes(messages),
  tools: takes([{ type: 'function', function: { name: 'f' } }]),
};

const ollamaGenerate: Readonly<Record<Exclude<keyof GenerateRequest, Common | 'options'>, Case>> = {
  prompt: takes('hi'),
  system: takes('Be brief.'),
  raw: takes(true),
  images: takes(['iVBORw0KGgoA']),
  suffix: refuses('x'),
  template: refuses('{{ .Prompt }}'),
  context: refuses([1]),
  width: refuses(8),
  height: refuses(8),
  steps: refuses(8),
};

const ollamaOptions: Readonly<Record<keyof Options, Case>> = {
  num_predict: takes(5),
  temperature: takes(1),
  top_p: takes(0.5),
  top_k: takes(3),
  min_p: takes(0.1),
  seed: takes(1),
  stop: takes(['x']),
  repeat_penalty: takes(1.1),
  presence_penalty: takes(1),
  frequency_penalty: takes(1),
  num_ctx: takes(512),
  num_thread: refuses(2),
  num_gpu: refuses(3),
  num_batch: refuses(8),
  main_gpu: refuses(1),
  numa: refuses(true),
  low_vram: refuses(true),
  f16_kv: refuses(false),
  vocab_only: refuses(true),
  use_mmap: refuses(false),
  use_mlock: refuses(true),
  embedding_only: refuses(true),
  logits_all: refuses(true),
  num_keep: refuses(24),
  repeat_last_n: refuses(5),
  penalize_newline: takes(false),
  tfs_z: refuses(0.5),
  typical_p: refuses(0.5),
  mirostat: refuses(2),
  mirostat_tau: refuses(2),
  mirostat_eta: refuses(2),
};

const ollamaEmbed: Readonly<Record<Exclude<keyof EmbedRequest, 'options'>, Case>> = {
  model: takes('m'),
  input: takes(['hi']),
  keep_alive: takes('5m'),
  truncate: takes(true),
  // The engine refuses it by the same name.
  dimensions: takes(8),
};

const rerank: Readonly<Record<string, Case>> = {
  model: takes('m'),
  query: takes('q'),
  documents: takes(['d', { text: 'e' }]),
  top_n: takes(1),
  return_documents: takes(true),
  max_chunks_per_doc: refuses(3),
  max_tokens_per_doc: refuses(3),
  rank_fields: refuses(['title']),
  truncation: refuses(true),
  priority: takes(1),
};

const prompted = { model: 'm', prompt: 'hi' };
type Read = (body: Record<string, unknown>) => unknown;
const inOptions = (name: string, value: unknown) => ({ options: { [name]: value } });
const nested = (name: string, value: unknown): Record<string, unknown> => {
  const [outer = '', inner] = name.split('.');
  return { [outer]: inner === undefined ? value : { [inner]: value } };
};

interface Api {
  readonly read: Read;
  readonly base: Readonly<Record<string, unknown>>;
  readonly parameters: Readonly<Record<string, Case>>;
  readonly body?: (name: string, value: unknown) => Record<string, unknown>;
  readonly prefix?: string;
}

const chatBase = { model: 'm', messages };
const apis: Readonly<Record<string, Api>> = {
  '/v1/messages': {
    ...{ read: messagesCall, base: { ...chatBase, max_tokens: 5 } },
    parameters: { ...anthropic, ...anthropicBeta },
  },
  '/v1/responses': { read: responsesCall, base: { model: 'm', input: 'hi' }, parameters: responses },
  '/api/chat': { read: chatCall, base: chatBase, parameters: { ...ollama, ...ollamaChat } },
  '/api/generate': { read: generateCall, base: prompted, parameters: { ...ollama, ...ollamaGenerate } },
  'options of /api/chat': {
    ...{ read: chatCall, base: chatBase, parameters: ollamaOptions },
    ...{ body: inOptions, prefix: 'options.' },
  },
  '/api/embed': { read: embedCall, base: { model: 'm', input: 'hi' }, parameters: ollamaEmbed },
  '/v1/rerank': { read: rerankCall, base: { model: 'm', query: 'q', documents: ['d'] }, parameters: rerank },
};

describe.each(Object.entries(apis))('%s', (_, { read, base, parameters, body = nested, prefix = '' }) => {
  const asked = (name: string, value: unknown) => () => read({ ...base, ...body(name, value) });
  const all = Object.entries(parameters);

  it.each(all.flatMap(([name, one]) => ('takes' in one ? [[name, one.takes] as const] : [])))(
    'takes %s',
    (name, value) => {
      expect(asked(name, value)).not.toThrow();
      // Null means "not given" in every API, but for what must be given.
      if (!(name in base)) expect(asked(name, null)).not.toThrow();
    },
  );

  it.each(all.flatMap(([name, one]) => ('refuses' in one ? [[name, one.refuses] as const] : [])))(
    'refuses %s by its name, with the reason',
    (name, value) => {
      const refusal = { code: 'BAD_REQUEST', param: prefix + name };
      expect(asked(name, value)).toThrow(expect.objectContaining(refusal));
      expect(asked(name, value)).toThrow(`${prefix}${name} is not supported here: `);
      expect(asked(name, null)).not.toThrow();
    },
  );

  it('names the nearest right one to what it does not know', () => {
    const [name = ''] = all.find(([key]) => !key.includes('.') && !(key in base)) ?? [];
    expect(asked(`${name}x`, 1)).toThrow(
      `${prefix}${name}x is not a parameter that is known here. Did you mean ${name}?`,
    );
  });
});

describe('docs/api.md', async () => {
  const text = await readFile(join(import.meta.dirname, '../../docs/api.md'), 'utf8');
  const section = (title: string) => text.split(/^## /m).find((one) => one.startsWith(title)) ?? '';

  it.each([
    ['OpenAI', responses],
    ['Anthropic', { ...anthropic, ...anthropicBeta }],
    ['Ollama', { ...ollama, ...ollamaGenerate, ...ollamaOptions }],
    ['Rerank', rerank],
  ])('%s: names what is refused', (title, parameters: Readonly<Record<string, Case>>) => {
    const refused = Object.entries(parameters).flatMap(([name, one]) => ('refuses' in one ? [name] : []));
    const named = refused.filter((name) => section(title).includes(`\`${name.split('.').at(-1)}`));
    expect(named).toEqual(refused);
  });
});
