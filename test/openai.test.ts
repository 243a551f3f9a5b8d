import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

let platform: TestPlatform;
let client: OpenAI;
beforeAll(async () => {
  const catalog = { 'services/llama.yaml': await slowEngine() };
  platform = await startPlatform({ config: 'models: { context: 1024, slots: 2 }', catalog });
  client = new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: platform.key, maxRetries: 0 });
});
afterAll(async () => void (await platform.stop()));

/** The embedded engine, which takes longer to start than a stream waits before it is told: on some machines it does not. */
async function slowEngine(): Promise<string> {
  const own = join(root, 'catalog/services');
  const text = await readFile(join(own, 'llama.yaml'), 'utf8');
  const command = /command: \[node, (.*), '\{service\}\/server\.ts'\]/;
  expect(text).toMatch(command);
  return text.replace(command, `command: [sh, -c, 'sleep 1.5; exec node $1 "${own}/llama/server.ts"']`);
}

const model = 'smollm2:135m';
const say = (content: string) => [{ role: 'user' as const, content }];
const short = { model, max_tokens: 12, temperature: 0 };

describe("OpenAI's own client", () => {
  it('sees a cold model wake: comments first, then the stream', async () => {
    const response = await platform.fetch('/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify({ ...short, stream: true, messages: say('Hi') }),
    });
    const blocks = (await response.text()).split('\n\n').filter(Boolean);
    const comments = blocks.filter((block) => block.startsWith(': '));
    expect(comments.length).toBeGreaterThan(0);
    expect(JSON.parse(comments[0]?.slice(2) ?? '')).toMatchObject({ phase: expect.any(String) });
    expect(blocks.at(-1)).toBe('data: [DONE]');
    expect(await platform.unit(model)).toMatchObject({ state: 'ready', leases: 0 });
  });

  it('lists models and finds one by its alias', async () => {
    const models = [];
    for await (const found of client.models.list()) models.push(found.id);
    expect(models).toContain(model);
    expect((await client.models.retrieve('smollm2')).id).toBe(model);
  });

  it('chats, plain and streamed, with true usage', async () => {
    const plain = await client.chat.completions.create({ ...short, messages: say('Name a colour.') });
    expect(plain.choices[0]?.message.content?.length).toBeGreaterThan(0);
    expect(plain.usage?.completion_tokens).toBeLessThanOrEqual(12);
    expect(plain.usage?.total_tokens).toBe((plain.usage?.prompt_tokens ?? 0) + (plain.usage?.completion_tokens ?? 0));
    const options = { stream: true as const, stream_options: { include_usage: true } };
    const stream = await client.chat.completions.create({
      ...short,
      model: 'default',
      ...options,
      messages: say('Name a colour.'),
    });
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(plain.choices[0]?.message.content);
    expect(usage).toMatchObject({
      prompt_tokens: plain.usage?.prompt_tokens,
      completion_tokens: plain.usage?.completion_tokens,
    });
  });

  it('says the same with the same seed', async () => {
    const ask = () =>
      client.chat.completions.create({ ...short, temperature: 1, seed: 7, messages: say('Tell a story.') });
    const [first, second] = [await ask(), await ask()];
    expect(second.choices[0]?.message.content).toBe(first.choices[0]?.message.content);
  });

  it('completes, embeds, and answers in the shape of a schema', async () => {
    const completion = await client.completions.create({ ...short, prompt: 'Once upon a' });
    expect(completion.choices[0]?.text.length).toBeGreaterThan(0);
    const embedding = await client.embeddings.create({ model, input: ['one', 'two'] });
    expect(embedding.data).toHaveLength(2);
    const vector = embedding.data[0]?.embedding ?? [];
    expect(vector.length).toBe(576);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 3);
    // The client asks for base64 and decodes it, unless told otherwise: both ways are the same numbers.
    const floats = await client.embeddings.create({ model, input: 'one', encoding_format: 'float' });
    expect(floats.data[0]?.embedding).toHaveLength(576);
    for (const [i, value] of (floats.data[0]?.embedding ?? []).entries()) expect(vector[i]).toBeCloseTo(value, 5);
    const schema = {
      type: 'object',
      properties: { name: { type: 'string', maxLength: 20 } },
      required: ['name'],
      additionalProperties: false,
    };
    const shaped = await client.chat.completions.create({
      ...short,
      max_tokens: 60,
      messages: say('Invent a person.'),
      response_format: { type: 'json_schema', json_schema: { name: 'person', schema, strict: true } },
    });
    expect(JSON.parse(shaped.choices[0]?.message.content ?? '')).toEqual({ name: expect.any(String) });
  });

  it('is answered when it asks several things at once, each answer saying where its time went', async () => {
    const answers = await Promise.all(
      [1, 2, 3, 4].map((n) => client.chat.completions.create({ ...short, messages: say(`Count to ${n}.`) })),
    );
    expect(answers.map(({ choices }) => choices[0]?.message.role)).toEqual(Array(4).fill('assistant'));
    const { response } = await client.chat.completions.create({ ...short, messages: say('Hi') }).withResponse();
    expect(response.headers.get('server-timing')).toMatch(/^queue;dur=[\d.]+, wake;dur=0\.0, upstream;dur=[\d.]+$/);
  });

  it('frees the model at once when it leaves a stream', async () => {
    const stream = await client.chat.completions.create({
      model,
      max_tokens: 900,
      stream: true,
      messages: say('Write a very long story.'),
    });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    const left = performance.now();
    await until(async () => (await platform.unit(model)).leases === 0, 'the lease to be given back', 5_000);
    expect(performance.now() - left).toBeLessThan(1_000);
  });
});

describe('errors are its typed errors', () => {
  const create = (body: object) => client.chat.completions.create({ ...short, messages: say('Hi'), ...body });

  it('for keys, models, parameters and prompts that do not fit', async () => {
    const stranger = new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: 'sutaz-wrong', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    const unknown = create({ model: 'smolm2:135m' });
    await expect(unknown).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    await expect(unknown).rejects.toMatchObject({ code: 'model_not_found', message: expect.stringContaining(model) });
    await expect(client.models.retrieve('smolm2:135m')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    const audio = create({ audio: { voice: 'alloy', format: 'wav' } });
    await expect(audio).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(audio).rejects.toMatchObject({ param: 'audio' });
    const long = create({ messages: say('word '.repeat(3000)) });
    await expect(long).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(long).rejects.toMatchObject({
      code: 'context_length_exceeded',
      message: expect.stringContaining('1024'),
    });
  });

  it('also in a stream', async () => {
    const stream = client.chat.completions.create({ ...short, stream: true, messages: say('word '.repeat(3000)) });
    await expect(stream).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });
});
