import { once } from 'node:events';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { key, launch, missing, model, started, stopped, until } from './_llama-host.ts';
import type { Child } from './_llama-host.ts';

const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
const user = (content: string) => [{ role: 'user' as const, content }];
const story = 'Tell me a long story about a cat.';
/** Far more tokens than a batch: evaluating it takes several. */
const longText = 'The quick brown fox jumps over the lazy dog. '.repeat(40);

describe.skipIf(missing.length > 0)('a real model behind the host', () => {
  let child: Child;
  beforeAll(async () => {
    child = await started();
  });
  afterAll(async () => {
    await stopped(child);
  });

  const stats = async () =>
    (await (await fetch(`${child.url}/stats`, { headers })).json()) as {
      slots: { busy: number; waiting: number };
      pssBytes: number;
    };
  const chat = (content: string, extra: object = {}) =>
    child.client.chat.completions.create({
      model: 'tiny',
      messages: user(content),
      max_completion_tokens: 24,
      seed: 7,
      ...extra,
    }) as Promise<OpenAI.ChatCompletion>;
  const textOf = (answer: OpenAI.ChatCompletion) => answer.choices[0]?.message.content;

  it('answers, and counts the tokens of the templated prompt', async () => {
    const answer = await chat('Say hello.');
    expect(textOf(answer)?.length).toBeGreaterThan(0);
    const counted = await fetch(`${child.url}/tokenize`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ messages: user('Say hello.') }),
    });
    const { tokens } = (await counted.json()) as { tokens: number[] };
    expect(answer.usage?.prompt_tokens).toBe(tokens.length);
    expect(answer.usage?.completion_tokens).toBeLessThanOrEqual(24);
    expect(answer.model).toBe('tiny');
  });

  it('gives the same text for the same seed: anew, with its prefix cached, and beside another', async () => {
    const first = await chat(story);
    const cached = await chat(story);
    expect(cached.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(0);
    const [beside] = await Promise.all([chat(story), chat(longText, { seed: 8 })]);
    const other = await chat(story, { seed: 9 });
    expect(textOf(cached)).toBe(textOf(first));
    expect(textOf(beside)).toBe(textOf(first));
    expect(textOf(other)).not.toBe(textOf(first));
  });

  it('streams the same text, with the same usage', async () => {
    const whole = await chat(story);
    const stream = await child.client.chat.completions.create({
      model: 'tiny',
      messages: user(story),
      max_completion_tokens: 24,
      seed: 7,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage;
    }
    expect(text).toBe(textOf(whole));
    expect(usage?.completion_tokens).toBe(whole.usage?.completion_tokens);
  });

  it('goes on with a conversation without evaluating it again', async () => {
    const question = `${longText} What does the fox do?`;
    const first = await chat(question);
    const said = textOf(first) ?? '';
    const second = await child.client.chat.completions.create({
      model: 'tiny',
      messages: [...user(question), { role: 'assistant', content: said }, ...user('And the dog?')],
      max_completion_tokens: 4,
    });
    const { prompt_tokens: before = 0 } = first.usage ?? {};
    expect(second.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThanOrEqual(before - 1);
  });

  it('keeps to a JSON schema', async () => {
    const schema = {
      type: 'object',
      properties: {
        name: { type: 'string', maxLength: 12 },
        legs: { type: 'integer' },
        kind: { enum: ['cat', 'dog'] },
      },
      required: ['name', 'legs', 'kind'],
      additionalProperties: false,
    };
    const answer = await chat('Describe a pet.', {
      max_completion_tokens: 120,
      response_format: { type: 'json_schema', json_schema: { name: 'pet', schema } },
    });
    expect(answer.choices[0]?.finish_reason).toBe('stop');
    const pet = JSON.parse(textOf(answer) ?? '') as Record<string, unknown>;
    expect(Object.keys(pet).sort()).toEqual(['kind', 'legs', 'name']);
    expect(Number.isInteger(pet['legs'])).toBe(true);
    expect(['cat', 'dog']).toContain(pet['kind']);
  });

  const tools = ['weather', 'time'].map((name) => ({
    type: 'function' as const,
    function: {
      name,
      description: `Tells the ${name} in a city`,
      parameters: {
        type: 'object',
        properties: { city: { type: 'string', maxLength: 16 }, unit: { enum: ['metric', 'imperial'] } },
        required: ['city', 'unit'],
      },
    },
  }));
  type Calls = OpenAI.ChatCompletionMessageToolCall[] | undefined;
  const checked = (calls: Calls) =>
    (calls ?? []).map((call) => {
      if (call.type !== 'function') throw new Error('no function');
      const given = JSON.parse(call.function.arguments) as Record<string, unknown>;
      expect(Object.keys(given).sort()).toEqual(['city', 'unit']);
      expect(['metric', 'imperial']).toContain(given['unit']);
      return call.function.name;
    });

  it('calls the tool it is told to, one of those it has, and goes on with what that came to', async () => {
    const one = { type: 'function', function: { name: 'time' } };
    const named = await chat('What time is it in Rome?', { tools, tool_choice: one, max_completion_tokens: 100 });
    expect(named.choices[0]?.finish_reason).toBe('tool_calls');
    expect(checked(named.choices[0]?.message.tool_calls)).toEqual(['time']);
    const extra = { tools, tool_choice: 'required', parallel_tool_calls: false, max_completion_tokens: 100 };
    const message = (await chat('Weather in Oslo?', extra)).choices[0]?.message;
    const [name] = checked(message?.tool_calls);
    expect(['weather', 'time']).toContain(name);
    const after = await child.client.chat.completions.create({
      model: 'tiny',
      tools,
      tool_choice: 'none',
      max_completion_tokens: 12,
      messages: [
        ...user('Weather in Oslo?'),
        ...(message ? [message] : []),
        { role: 'tool', tool_call_id: message?.tool_calls?.[0]?.id ?? '', content: '{"sky":"blue"}' },
      ],
    });
    expect(textOf(after)?.length).toBeGreaterThan(0);
    expect(after.choices[0]?.finish_reason).toMatch(/^(stop|length)$/);
  });

  it('streams a call as the same call, and gives several answers at once', async () => {
    const one = { type: 'function' as const, function: { name: 'weather' } };
    const request = {
      ...{ model: 'tiny', messages: user('Weather in Rome?'), tools, tool_choice: one },
      ...{ max_completion_tokens: 100, seed: 5, n: 2 },
    };
    const whole = await child.client.chat.completions.create(request);
    expect(whole.choices.flatMap(({ message }) => checked(message.tool_calls))).toEqual(['weather', 'weather']);
    const stream = child.client.chat.completions.stream(request);
    const streamed = await stream.finalChatCompletion();
    const argumentsOf = ({ choices }: OpenAI.ChatCompletion) =>
      choices.map(({ message }) => (message.tool_calls?.[0] as { function: object } | undefined)?.function);
    expect(argumentsOf(streamed)).toMatchObject(argumentsOf(whole) as object[]);
    expect((await stats()).slots).toMatchObject({ busy: 0, waiting: 0 });
  });

  it('tells how likely each token was, beside others', async () => {
    const asked = { temperature: 0, logprobs: true, top_logprobs: 3, max_completion_tokens: 6 };
    const answer = await chat('Name a colour.', asked);
    const content = answer.choices[0]?.logprobs?.content ?? [];
    expect(content).toHaveLength(answer.usage?.completion_tokens ?? 0);
    expect(content.map(({ token }) => token).join('')).toContain(textOf(answer)?.trim());
    for (const { token, logprob, top_logprobs: top } of content) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top).toHaveLength(3);
      // The likeliest is what a temperature of 0 takes.
      expect(top[0]).toMatchObject({ token, logprob });
      expect(top.reduce((sum, one) => sum + Math.exp(one.logprob), 0)).toBeLessThanOrEqual(1.001);
    }
  });

  it.each([
    ['the form', '{', 'stop'],
    ['a call', '||', 'tool_calls'],
  ])('answers with tools and a form at once, by %s as the model chooses', async (_, first, reason) => {
    const schema = { type: 'object', properties: { sky: { enum: ['grey', 'blue'] } }, required: ['sky'] };
    const counted = await fetch(`${child.url}/tokenize`, {
      ...{ method: 'POST', headers, body: JSON.stringify({ content: first }) },
    });
    const { tokens } = (await counted.json()) as { tokens: number[] };
    const answer = await chat('Weather in Rome?', {
      ...{ tools, parallel_tool_calls: false, max_completion_tokens: 120 },
      response_format: { type: 'json_schema', json_schema: { name: 'sky', schema } },
      // This small a model would always do the same.
      logit_bias: { [String(tokens[0])]: 60 },
    });
    const [choice] = answer.choices;
    expect(choice?.finish_reason).toBe(reason);
    if (reason === 'stop') {
      const said = JSON.parse(choice?.message.content ?? '') as { sky: string };
      expect(['grey', 'blue']).toContain(said.sky);
    } else expect(choice?.message).toMatchObject({ content: null, tool_calls: [{ type: 'function' }] });
  });

  it('offers tools without forcing one', async () => {
    const answer = await chat('Say hello.', { tools });
    const [choice] = answer.choices;
    if (choice?.finish_reason === 'tool_calls') checked(choice.message.tool_calls);
    else expect(textOf(answer)?.length).toBeGreaterThan(0);
  });

  it('takes the schema of a tool as it comes: behind a reference, with what no grammar holds, and of no use', async () => {
    const offer = (parameters: object, strict: boolean) => ({
      ...{ tools: [{ type: 'function', function: { name: 'pet', parameters, strict } }] },
      ...{ tool_choice: 'required', parallel_tool_calls: false, max_completion_tokens: 100 },
    });
    const argumentsOf = async (parameters: object, strict: boolean) => {
      const [call] = (await chat('Name a pet.', offer(parameters, strict))).choices[0]?.message.tool_calls ?? [];
      return JSON.parse(call?.type === 'function' ? call.function.arguments : '') as object;
    };
    const kind = { enum: ['cat', 'dog'] };
    const pet = { type: 'object', properties: { kind }, required: ['kind'], additionalProperties: false };
    const behind = { $ref: '#/$defs/pet', $defs: { pet } };
    expect(await argumentsOf(behind, true)).toEqual({ kind: expect.stringMatching(/^(cat|dog)$/) as string });
    const legs = { type: 'integer', minimum: 0, default: 4, 'x-unit': 'leg' };
    const parent = { anyOf: [{ $ref: '#/$defs/pet' }, true] };
    const odd = { ...pet, properties: { kind, legs }, patternProperties: { '^x': false }, $defs: { pet, parent } };
    // No grammar is left of it: what the object holds is the model's to say.
    expect(await argumentsOf(odd, false)).toBeInstanceOf(Object);
    const itself = { ...pet, properties: { kind: { $ref: '#/$defs/a' } }, $defs: { a: { $ref: '#/$defs/a' } } };
    await expect(argumentsOf(itself, true)).rejects.toMatchObject({
      ...{ status: 400, code: 'unsupported_schema', param: 'tools[0].function.parameters' },
    });
    expect((await stats()).slots).toMatchObject({ busy: 0, waiting: 0 });
  });

  it('stops where told to, and heeds a bias against a token', async () => {
    const whole = textOf(await chat(story)) ?? '';
    const stop = whole.slice(8, 11);
    const cut = await chat(story, { stop });
    expect(textOf(cut)).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(cut.choices[0]?.finish_reason).toBe('stop');
    const greedy = (extra: object) => chat(story, { temperature: 0, max_completion_tokens: 1, ...extra });
    const usual = textOf(await greedy({})) ?? '';
    const tokens = await fetch(`${child.url}/tokenize`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ content: usual }),
    });
    const [first] = ((await tokens.json()) as { tokens: number[] }).tokens;
    expect(textOf(await greedy({ logit_bias: { [String(first)]: -100 } }))).not.toBe(usual);
  });

  it('repeats itself less when penalised', async () => {
    const response = await fetch(`${child.url}/tokenize`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ content: ' no' }),
    });
    const [no] = ((await response.json()) as { tokens: number[] }).tokens;
    // The bias alone makes the model say nothing else; each penalty of 2 a repetition eats it up.
    const nos = async (extra: object) => {
      const logit_bias = { [String(no)]: 24 };
      const answer = await chat('Hi.', { temperature: 0, max_completion_tokens: 30, logit_bias, ...extra });
      return (textOf(answer) ?? '').split('no').length - 1;
    };
    const unpenalised = await nos({});
    expect(unpenalised).toBeGreaterThan(20);
    expect(await nos({ frequency_penalty: 2 })).toBeLessThan(unpenalised);
  });

  it('refuses a prompt that does not fit, and ends with length when the context is full', async () => {
    const long = chat(longText.repeat(4));
    await expect(long).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
    const full = await child.client.completions.create({
      model: 'tiny',
      prompt: longText.slice(0, -1),
      max_tokens: 400,
      seed: 3,
      logit_bias: {},
    });
    const { prompt_tokens: prompt = 0, completion_tokens: generated = 0 } = full.usage ?? {};
    expect(prompt + generated).toBeLessThanOrEqual(512);
    if (full.choices[0]?.finish_reason === 'length') expect(prompt + generated).toBe(512);
  });

  it('serves more at once than it has slots', async () => {
    const answers = await Promise.all(
      Array.from({ length: 5 }, (_, seed) => chat(`${story} ${String(seed)}`, { seed })),
    );
    for (const answer of answers) expect(textOf(answer)?.length).toBeGreaterThan(0);
    expect((await stats()).slots).toMatchObject({ busy: 0, waiting: 0 });
  });

  /** Leaves once the host is at work on it; resolves with the time from the socket's close to the slot being free. */
  async function leave(content: string, wait: 'prompt' | 'text'): Promise<number> {
    const seen = child.log.length;
    const body = JSON.stringify({ model: 'tiny', messages: user(content), stream: true, max_tokens: 400, seed: 1 });
    const request = httpRequest(`${child.url}/v1/chat/completions`, { method: 'POST', headers });
    request.on('error', () => undefined);
    request.end(body);
    let text = '';
    request.on('response', (response) => response.on('data', (chunk: Buffer) => (text += chunk.toString())));
    // The role comes when a slot is granted, before the prompt is evaluated; text comes after.
    const wanted = wait === 'prompt' ? '"role"' : '"delta":{"content":"';
    await until(
      () => text.includes(wanted),
      (there) => there,
    );
    request.destroy();
    const line = await until(
      () => child.log.slice(seen).find(({ event }) => event === 'generation'),
      (found) => found !== undefined,
    );
    expect(line).toMatchObject({ outcome: 'left' });
    expect((await stats()).slots).toMatchObject({ busy: 0, waiting: 0 });
    return Number(line?.['freedMs']);
  }

  it('frees the slot when the client leaves, while generating and while evaluating the prompt', async () => {
    const generating = await leave(story, 'text');
    const evaluating = await leave(`${String(Math.random())} ${longText}`, 'prompt');
    console.log(
      `slot free after the client left: ${String(generating)} ms generating, ${String(evaluating)} ms evaluating`,
    );
    // A batch of 32 tokens at the slowest this runs on; without the abort the answer would go on to 400 tokens.
    expect(Math.max(generating, evaluating)).toBeLessThan(5000);
  });

  it('makes vectors of length 1 in which like is near to like', async () => {
    const input = ['The cat sleeps on the sofa.', 'A cat is sleeping on a couch.', 'Interest rates rose in March.'];
    const base64 = await child.client.embeddings.create({ model: 'tiny', input });
    const floats = await child.client.embeddings.create({ model: 'tiny', input, encoding_format: 'float' });
    const dot = (a: readonly number[] = [], b: readonly number[] = []) =>
      a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
    const [cat, alike, other] = floats.data.map(({ embedding }) => embedding);
    expect(dot(cat, cat)).toBeCloseTo(1, 5);
    expect(dot(cat, alike)).toBeGreaterThan(dot(cat, other));
    expect(dot(base64.data[0]?.embedding, cat)).toBeCloseTo(1, 5);
    await expect(child.client.embeddings.create({ model: 'tiny', input: longText.repeat(4) })).rejects.toMatchObject({
      code: 'context_length_exceeded',
    });
  });

  it('ends a stream in flight before it stops, and exits with 0', async () => {
    const stream = await child.client.chat.completions.create({
      model: 'tiny',
      messages: user(story),
      max_completion_tokens: 12,
      stream: true,
    });
    child.process.kill('SIGTERM');
    let reason: string | null | undefined;
    for await (const chunk of stream) reason = chunk.choices[0]?.finish_reason ?? reason;
    expect(reason).toMatch(/^(length|stop)$/);
    if (child.process.exitCode === null) await once(child.process, 'exit');
    expect(child.process.exitCode).toBe(0);
    expect(child.stderr()).toBe('');
  });
});

describe.skipIf(missing.length > 0)('a model that cannot be loaded', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sutaz-llama-'));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  async function exitOf(variables: Record<string, string>) {
    const child = launch(variables);
    const [code] = (await once(child.process, 'close')) as [number | null];
    return { code, lines: child.stderr().trim().split('\n') };
  }

  it('is told in one line, with exit code 1', async () => {
    const absent = await exitOf({ SUTAZ_MODEL_PATH: join(folder, 'absent.gguf') });
    expect(absent.code).toBe(1);
    expect(absent.lines).toHaveLength(1);
    expect(absent.lines[0]).toContain('cannot load tiny');

    const path = join(folder, 'short.gguf');
    const source = await open(model ?? '');
    const { buffer, bytesRead } = await source.read(Buffer.alloc(4 << 20), 0, 4 << 20, 0);
    await source.close();
    await writeFile(path, buffer.subarray(0, bytesRead));
    const truncated = await exitOf({ SUTAZ_MODEL_PATH: path });
    expect([truncated.code, truncated.lines.length]).toEqual([1, 1]);

    const misconfigured = await exitOf({ SUTAZ_SLOTS: 'many' });
    expect([misconfigured.code, misconfigured.lines.length]).toEqual([1, 1]);
    expect(misconfigured.lines[0]).toContain('SUTAZ_SLOTS');
  });
});
