import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { parseChat } from './chat.ts';
import { parseCompletion } from './completions.ts';
import { parseEmbeddings } from './embeddings.ts';
import { isApiError } from './errors.ts';
import type { Json } from './json.ts';

/*
 * Every parameter that OpenAI's own client has a type for is taken or refused by name: a release of it that knows one more does
 * not compile here until somebody has decided about it. The other APIs are in src/edge/parameters.test.ts.
 */

/** A value that asks for something, and whether it is taken. */
type Case = { readonly takes: Json } | { readonly refuses: Json };
const takes = (value: Json): Case => ({ takes: value });
const refuses = (value: Json): Case => ({ refuses: value });
type Cases<K extends string> = Readonly<Record<K, Case>>;

const messages: Json = [{ role: 'user', content: 'hi' }];

const chat: Cases<keyof OpenAI.ChatCompletionCreateParams> = {
  model: takes('m'),
  messages: takes(messages),
  max_tokens: takes(5),
  max_completion_tokens: takes(5),
  temperature: takes(1),
  top_p: takes(0.5),
  frequency_penalty: takes(1),
  presence_penalty: takes(1),
  logit_bias: takes({ '5': 1 }),
  n: takes(2),
  seed: takes(1),
  stop: takes('x'),
  stream: takes(true),
  stream_options: takes({ include_usage: true }),
  response_format: takes({ type: 'json_object' }),
  tools: takes([{ type: 'function', function: { name: 'f' } }]),
  tool_choice: takes('auto'),
  parallel_tool_calls: takes(false),
  logprobs: takes(true),
  // Only beside logprobs; alone it names them.
  top_logprobs: takes(0),
  audio: refuses({ voice: 'x', format: 'mp3' }),
  modalities: refuses(['text', 'audio']),
  functions: refuses([{ name: 'f' }]),
  function_call: refuses({ name: 'f' }),
  prediction: refuses({ type: 'content', content: 'x' }),
  reasoning_effort: refuses('low'),
  verbosity: refuses('low'),
  web_search_options: refuses({}),
  moderation: refuses({ model: 'x' }),
  // About OpenAI's own servers and accounts.
  user: takes('u'),
  metadata: takes({ a: 'b' }),
  store: takes(true),
  safety_identifier: takes('u'),
  service_tier: takes('auto'),
  prompt_cache_key: takes('k'),
  prompt_cache_options: takes({}),
  prompt_cache_retention: takes('24h'),
};

const completion: Cases<keyof OpenAI.CompletionCreateParams> = {
  model: takes('m'),
  prompt: takes('hi'),
  max_tokens: takes(5),
  temperature: takes(1),
  top_p: takes(0.5),
  frequency_penalty: takes(1),
  presence_penalty: takes(1),
  logit_bias: takes({ '5': 1 }),
  n: takes(2),
  seed: takes(1),
  stop: takes(['x']),
  stream: takes(true),
  stream_options: takes({ include_usage: true }),
  user: takes('u'),
  best_of: refuses(2),
  echo: refuses(true),
  suffix: refuses('x'),
  logprobs: refuses(3),
};

const embedding: Cases<keyof OpenAI.EmbeddingCreateParams> = {
  model: takes('m'),
  input: takes(['hi', 'you']),
  encoding_format: takes('base64'),
  user: takes('u'),
  dimensions: refuses(8),
};

/** Beyond OpenAI, as llama.cpp's own server has them. */
const beyond: Cases<string> = { top_k: takes(3), min_p: takes(0.1), repeat_penalty: takes(1.1) };

/** The error a call ends with, as the client sees it; null where there is none. */
function refusal(call: () => unknown) {
  try {
    call();
    return null;
  } catch (error) {
    if (isApiError(error)) return error.api.body.error;
    throw error;
  }
}

type Api = readonly [string, (body: Json) => unknown, Readonly<Record<string, Json>>, Cases<string>];
const apis: readonly Api[] = [
  ['chat', parseChat, { model: 'm', messages }, { ...chat, ...beyond }],
  ['completions', parseCompletion, { model: 'm', prompt: 'hi' }, { ...completion, ...beyond }],
  ['embeddings', parseEmbeddings, { model: 'm', input: 'hi' }, embedding],
];

const refused = (cases: Cases<string>) => Object.entries(cases).filter(([, one]) => 'refuses' in one);

describe.each(apis)('%s', (_, read, base, cases) => {
  it.each(Object.entries(cases))('decides about %s by its name', (name, one) => {
    const value = 'takes' in one ? one.takes : one.refuses;
    const told = refusal(() => read({ ...base, [name]: value }));
    if ('takes' in one) return expect(told).toBeNull();
    expect(told).toMatchObject({ param: name, code: 'unsupported_parameter' });
    // Null means "not given".
    expect(refusal(() => read({ ...base, [name]: null }))).toBeNull();
  });
});

it('docs/api.md names what is refused', async () => {
  const text = await readFile(join(import.meta.dirname, '../../../docs/api.md'), 'utf8');
  const section = text.split(/^## /m).find((one) => one.startsWith('OpenAI')) ?? '';
  const names = apis.flatMap(([, , , cases]) => refused(cases).map(([name]) => name));
  expect(names.filter((name) => section.includes(`\`${name}\``))).toEqual(names);
});
