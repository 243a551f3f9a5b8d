import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { embedMany, generateText, jsonSchema, Output, streamText, tool } from 'ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

/** Clients that nobody here wrote, as they come from the registry, against one platform with the smallest model. */
let platform: TestPlatform;
const config = `
models:
  context: 1536
  slots: 2
  names:
    small: { first: [smollm2], defaults: { temperature: 0, max_tokens: 8 }, limits: { max_tokens: 64 }, prompt: Be brief. }
`;
beforeAll(async () => {
  platform = await startPlatform({ config });
  // The first start installs nothing and loads the model once for all.
  await platform
    .fetch('/sutaz/v1/units/smollm2:135m/start?wait=true', { method: 'POST' })
    .then((answer) => answer.text());
});
afterAll(async () => void (await platform.stop()));

const model = 'smollm2:135m';
const say = (content: string) => [{ role: 'user' as const, content }];
const parameters = {
  type: 'object' as const,
  properties: { city: { type: 'string' as const, maxLength: 12 } },
  required: ['city'],
  additionalProperties: false as const,
};
const person = {
  type: 'object' as const,
  properties: { name: { type: 'string' as const, maxLength: 12 } },
  required: ['name'],
  additionalProperties: false as const,
};
const idle = () => until(async () => (await platform.unit(model)).leases === 0, 'the lease to be given back', 5_000);

describe('openai', () => {
  const client = () => new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: platform.key, maxRetries: 0 });
  const tools = [{ type: 'function' as const, function: { name: 'weather', parameters } }];

  it('calls a tool by force, streams it, and takes its result', async () => {
    const stream = client().chat.completions.stream({
      ...{ model, messages: say('Weather in Rome?'), tools, tool_choice: 'required', parallel_tool_calls: false },
      ...{ max_tokens: 60, temperature: 0 },
    });
    const { choices } = await stream.finalChatCompletion();
    const message = choices[0]?.message;
    const [call] = message?.tool_calls ?? [];
    if (call?.type !== 'function' || !message) throw new Error('no call');
    expect(call.function.name).toBe('weather');
    expect(JSON.parse(call.function.arguments)).toEqual({ city: expect.any(String) });
    const after = await client().chat.completions.create({
      ...{ model, tools, max_tokens: 8 },
      messages: [...say('Weather in Rome?'), message, { role: 'tool', tool_call_id: call.id, content: 'Sunny.' }],
    });
    expect(after.choices[0]?.message.role).toBe('assistant');
  });

  it('answers with several choices', async () => {
    const { choices } = await client().chat.completions.create({ model, n: 2, max_tokens: 4, messages: say('Hi') });
    expect(choices.map(({ index }) => index)).toEqual([0, 1]);
  });

  it('makes a response, streams it, calls a tool in it and keeps to a form', async () => {
    const plain = await client().responses.create({ model, input: 'Name a colour.', max_output_tokens: 8 });
    expect(plain.output_text.length).toBeGreaterThan(0);
    expect(plain.usage?.total_tokens).toBeGreaterThan(0);
    const stream = client().responses.stream({ model, input: say('Name a colour.'), max_output_tokens: 8 });
    const types = new Set<string>();
    for await (const event of stream) types.add(event.type);
    const final = await stream.finalResponse();
    expect(final.output_text.length).toBeGreaterThan(0);
    expect([...types]).toContain('response.output_text.delta');
    const called = await client().responses.create({
      ...{
        model,
        input: 'Weather in Rome?',
        max_output_tokens: 60,
        tool_choice: { type: 'function', name: 'weather' },
      },
      tools: [{ type: 'function', name: 'weather', parameters, strict: true }],
    });
    const [call] = called.output;
    if (call?.type !== 'function_call') throw new Error('no call');
    expect(JSON.parse(call.arguments)).toEqual({ city: expect.any(String) });
    const next = await client().responses.create({
      ...{ model, max_output_tokens: 8 },
      input: [
        ...say('Weather in Rome?'),
        call,
        { type: 'function_call_output', call_id: call.call_id, output: 'Sunny.' },
      ],
    });
    expect(next.status).toMatch(/completed|incomplete/);
    const shaped = await client().responses.create({
      ...{ model, input: 'Invent a person.', max_output_tokens: 60 },
      text: { format: { type: 'json_schema', name: 'person', schema: person, strict: true } },
    });
    expect(JSON.parse(shaped.output_text)).toEqual({ name: expect.any(String) });
    await expect(
      client().responses.create({ model, input: 'x', previous_response_id: 'resp_1' }),
    ).rejects.toMatchObject({
      status: 400,
      param: 'previous_response_id',
    });
  });

  it('uses a name of the configuration, with its defaults, limits and prompt', async () => {
    const answer = await client().chat.completions.create({ model: 'small', messages: say('Tell a long story.') });
    expect(answer.usage?.completion_tokens).toBeLessThanOrEqual(8);
    const over = client().chat.completions.create({ model: 'small', max_tokens: 65, messages: say('Hi') });
    await expect(over).rejects.toMatchObject({ status: 400, param: 'max_tokens' });
    expect((await client().models.retrieve('small')).id).toBe('small');
  });
});

describe('ollama', () => {
  const client = (key = platform.key) =>
    new Ollama({ host: platform.url, headers: { Authorization: `Bearer ${key}` } });
  const options = { num_predict: 12, temperature: 0, seed: 1 };

  it('chats, plain and streamed, with what it took', async () => {
    const plain = await client().chat({ model, messages: say('Name a colour.'), options });
    expect(plain.message.content.length).toBeGreaterThan(0);
    expect(plain).toMatchObject({ model, done: true, done_reason: expect.stringMatching(/stop|length/) });
    expect(plain.prompt_eval_count).toBeGreaterThan(0);
    expect(plain.eval_count).toBeLessThanOrEqual(12);
    expect(plain.total_duration).toBeGreaterThanOrEqual(plain.eval_duration);
    let text = '';
    let last: { done?: boolean; eval_count?: number } = {};
    for await (const piece of await client().chat({ model, messages: say('Name a colour.'), options, stream: true })) {
      text += piece.message.content;
      last = piece;
    }
    expect(text).toBe(plain.message.content);
    expect(last).toMatchObject({ done: true, eval_count: plain.eval_count });
  });

  it('generates: with a system message, raw, in a form, and nothing at all', async () => {
    const told = await client().generate({ model, prompt: 'Name a colour.', system: 'Be brief.', options });
    expect(told.response?.length).toBeGreaterThan(0);
    const raw = await client().generate({ model, prompt: 'Once upon a', raw: true, options });
    expect(raw.response?.length).toBeGreaterThan(0);
    const shaped = await client().generate({
      model,
      prompt: 'Invent a person.',
      format: person,
      options: { num_predict: 60 },
    });
    expect(JSON.parse(shaped.response ?? '')).toEqual({ name: expect.any(String) });
    expect(await client().generate({ model, prompt: '' })).toMatchObject({ done: true, done_reason: 'load' });
  });

  it('calls tools where the model does, and takes their results', async () => {
    const tools = [{ type: 'function', function: { name: 'weather', description: 'Of a city', parameters } }];
    const answer = await client().chat({
      model,
      messages: say('Weather in Rome?'),
      tools,
      options: { num_predict: 60 },
    });
    for (const { function: call } of answer.message.tool_calls ?? []) expect(call.name).toBe('weather');
    const after = await client().chat({
      ...{ model, tools, options },
      messages: [
        ...say('Weather in Rome?'),
        {
          role: 'assistant',
          content: '',
          tool_calls: [{ function: { name: 'weather', arguments: { city: 'Rome' } } }],
        },
        { role: 'tool', content: 'Sunny.', tool_name: 'weather' },
      ],
    });
    expect(after.done).toBe(true);
  });

  it('embeds, lists, shows and counts what is loaded', async () => {
    const { embeddings } = await client().embed({ model, input: ['one', 'two'] });
    expect(embeddings.map((vector) => vector.length)).toEqual([576, 576]);
    expect((await client().embeddings({ model, prompt: 'one' })).embedding[0]).toBeCloseTo(embeddings[0]?.[0] ?? 0, 5);
    const { models } = await client().list();
    expect(models.find(({ name }) => name === model)).toMatchObject({ details: { family: 'llama', format: 'gguf' } });
    const shown = await client().show({ model: 'smollm2:latest' });
    expect(shown.capabilities).toEqual(['completion', 'tools', 'embedding']);
    expect(shown.model_info).toMatchObject({ 'general.architecture': 'llama' });
    const running = (await client().ps()).models.find(({ name }) => name === model);
    expect(running?.size).toBeGreaterThan(50e6);
    expect((await client().version()).version).toMatch(/^\d+\.\d+\.\d+/);
  });

  it('pulls with its progress to the end, and says what it cannot', async () => {
    const states: string[] = [];
    for await (const { status } of await client().pull({ model, stream: true })) states.push(status);
    expect(states.at(-1)).toBe('success');
    expect(await client().pull({ model: 'smollm2' })).toMatchObject({ status: 'success' });
    await expect(client().chat({ model: 'smolm2:135m', messages: say('Hi') })).rejects.toMatchObject({
      status_code: 404,
      message: expect.stringContaining(model),
    });
    await expect(client('sutaz-wrong').list()).rejects.toMatchObject({ status_code: 401 });
    const mirostat = client().chat({ model, messages: say('Hi'), options: { mirostat: 2 } });
    await expect(mirostat).rejects.toThrow('options.mirostat is not supported here');
    await expect(client().copy({ source: model, destination: 'x' })).rejects.toMatchObject({ status_code: 501 });
  });

  it('frees the model when it leaves a stream, and lets it go at once where it says so', async () => {
    const stream = await client().chat({ model, messages: say('Tell a long story.'), stream: true });
    await expect(async () => {
      for await (const piece of stream) if (piece.message.content) stream.abort();
    }).rejects.toThrow();
    await idle();
    await client().chat({ model, messages: say('Hi'), options, keep_alive: '2h' });
    const [kept] = (await client().ps()).models;
    expect(new Date(kept?.expires_at ?? 0).getTime() - Date.now()).toBeGreaterThan(7_000_000);
    await client().generate({ model, prompt: '', keep_alive: 0 });
    await platform.untilState(model, 'cold', 'stopping');
    await platform.untilState(model, 'cold');
    expect((await client().ps()).models).toEqual([]);
  });

  it('finds the door where it looks for Ollama', async () => {
    const head = await fetch(platform.url, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(await (await fetch(platform.url)).text()).toBe('Ollama is running');
  });
});

describe('@anthropic-ai/sdk', () => {
  const client = (apiKey = platform.key) => new Anthropic({ baseURL: platform.url, apiKey, maxRetries: 0 });
  const short = { model, max_tokens: 12, temperature: 0 };
  const tools = [{ name: 'weather', description: 'Of a city', input_schema: parameters }];

  it('sends messages, plain and streamed, and counts their tokens', async () => {
    const plain = await client().messages.create({ ...short, system: 'Be brief.', messages: say('Name a colour.') });
    const [text] = plain.content;
    expect(text).toMatchObject({ type: 'text', text: expect.stringMatching(/./) });
    expect(plain.stop_reason).toMatch(/end_turn|max_tokens/);
    const stream = client().messages.stream({ ...short, system: 'Be brief.', messages: say('Name a colour.') });
    const events: string[] = [];
    stream.on('streamEvent', ({ type }) => events.push(type));
    const final = await stream.finalMessage();
    expect(final.content).toMatchObject(plain.content);
    expect(events[0]).toBe('message_start');
    expect(events.slice(-3)).toEqual(['content_block_stop', 'message_delta', 'message_stop']);
    const { input_tokens: counted } = await client().messages.countTokens({
      ...{ model, system: 'Be brief.', messages: say('Name a colour.') },
    });
    const { input_tokens: fresh, cache_read_input_tokens: cached } = plain.usage;
    expect(fresh + (cached ?? 0)).toBe(counted);
  });

  it('uses a tool, and takes its result', async () => {
    const forced = { ...short, max_tokens: 60, tools, tool_choice: { type: 'tool' as const, name: 'weather' } };
    const used = await client()
      .messages.stream({ ...forced, messages: say('Weather in Rome?') })
      .finalMessage();
    expect(used.stop_reason).toBe('tool_use');
    const block = used.content.find(({ type }) => type === 'tool_use');
    if (block?.type !== 'tool_use') throw new Error('no tool');
    expect(block.input).toEqual({ city: expect.any(String) });
    const after = await client().messages.create({
      ...{ ...short, tools },
      messages: [
        ...say('Weather in Rome?'),
        { role: 'assistant', content: used.content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: block.id, content: 'Sunny.' }] },
      ],
    });
    expect(after.role).toBe('assistant');
  });

  it('wakes a cold model while its stream waits', async () => {
    await platform.fetch(`/sutaz/v1/units/${model}/stop?force=true`, { method: 'POST' });
    await platform.untilState(model, 'cold');
    const final = await client()
      .messages.stream({ ...short, messages: say('Hi') })
      .finalMessage();
    expect(final.content.length).toBe(1);
  });

  it('lists models, and knows errors by their class', async () => {
    const { data } = await client().models.list();
    expect(data.map(({ id }) => id)).toContain(model);
    await expect(client('wrong').messages.create({ ...short, messages: say('Hi') })).rejects.toBeInstanceOf(
      Anthropic.AuthenticationError,
    );
    await expect(client().messages.create({ ...short, model: 'nobody', messages: say('Hi') })).rejects.toBeInstanceOf(
      Anthropic.NotFoundError,
    );
    const image = {
      type: 'image' as const,
      source: { type: 'base64' as const, media_type: 'image/png' as const, data: '' },
    };
    const bad = client().messages.create({ ...short, messages: [{ role: 'user', content: [image] }] });
    await expect(bad).rejects.toBeInstanceOf(Anthropic.BadRequestError);
    const long = client().messages.stream({ ...short, messages: say('word '.repeat(3000)) });
    await expect(long.finalMessage()).rejects.toThrow('maximum context length');
  });
});

describe('ai, with its OpenAI-compatible provider', () => {
  const provider = () =>
    createOpenAICompatible({
      ...{ name: 'sutaz', baseURL: `${platform.url}/v1`, apiKey: platform.key },
      ...{ includeUsage: true, supportsStructuredOutputs: true },
    });

  it('generates, streams, embeds, calls a tool and keeps to a form', async () => {
    const chat = provider()(model);
    const plain = await generateText({ model: chat, prompt: 'Name a colour.', maxOutputTokens: 12, temperature: 0 });
    expect(plain.text.length).toBeGreaterThan(0);
    const stream = streamText({ model: chat, prompt: 'Name a colour.', maxOutputTokens: 12, temperature: 0 });
    let text = '';
    for await (const piece of stream.textStream) text += piece;
    expect(text).toBe(plain.text);
    expect((await stream.usage).outputTokens).toBe(plain.usage.outputTokens);
    const weather = tool({ inputSchema: jsonSchema<{ city: string }>(parameters), execute: async () => 'Sunny.' });
    const called = await generateText({
      ...{ model: chat, prompt: 'Weather in Rome?', maxOutputTokens: 60 },
      ...{ tools: { weather }, toolChoice: 'required' },
    });
    expect(called.toolCalls[0]).toMatchObject({ toolName: 'weather', input: { city: expect.any(String) } });
    const shaped = await generateText({
      ...{ model: chat, prompt: 'Invent a person.', maxOutputTokens: 60 },
      output: Output.object({ schema: jsonSchema<{ name: string }>(person) }),
    });
    expect(shaped.output).toEqual({ name: expect.any(String) });
    const { embeddings } = await embedMany({ model: provider().embeddingModel(model), values: ['one', 'two'] });
    expect(embeddings.map((vector) => vector.length)).toEqual([576, 576]);
    const unknown = generateText({ model: provider()('nobody'), prompt: 'Hi', maxRetries: 0 });
    await expect(unknown).rejects.toMatchObject({ statusCode: 404 });
  });
});

describe('@langchain/openai', () => {
  const configuration = () => ({ baseURL: `${platform.url}/v1` });
  const chat = (more: object = {}) =>
    new ChatOpenAI({
      ...{ model, apiKey: platform.key, configuration: configuration(), maxRetries: 0, maxTokens: 12, temperature: 0 },
      ...more,
    });

  it('invokes, streams, calls a tool, keeps to a form and embeds', async () => {
    const plain = await chat().invoke('Name a colour.');
    expect(plain.text.length).toBeGreaterThan(0);
    let text = '';
    for await (const piece of await chat().stream('Name a colour.')) text += piece.text;
    expect(text).toBe(plain.text);
    const tools = [{ type: 'function' as const, function: { name: 'weather', description: 'Of a city', parameters } }];
    const called = await chat({ maxTokens: 60 })
      .bindTools(tools, { tool_choice: 'weather' })
      .invoke('Weather in Rome?');
    expect(called.tool_calls?.[0]).toMatchObject({ name: 'weather', args: { city: expect.any(String) } });
    for (const method of ['functionCalling', 'jsonSchema'] as const) {
      const shaped = await chat({ maxTokens: 60 })
        .withStructuredOutput({ title: 'person', description: 'A person', ...person }, { method, name: 'person' })
        .invoke('Invent a person.');
      expect(shaped).toEqual({ name: expect.any(String) });
    }
    const embeddings = new OpenAIEmbeddings({
      model,
      apiKey: platform.key,
      configuration: configuration(),
      maxRetries: 0,
    });
    expect((await embeddings.embedDocuments(['one', 'two'])).map((vector) => vector.length)).toEqual([576, 576]);
    await expect(chat({ apiKey: 'wrong' }).invoke('Hi')).rejects.toMatchObject({ status: 401 });
  });
});
