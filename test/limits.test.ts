import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiLimits } from '#contracts/limits-api';
import { startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

const config = (more = '') => `models: { context: 1024, slots: 2 }
limits:
  rules:
    - { name: budget, each: model, tokens: 1M/day }
    - { name: misspelt, for: { model: smollm3:135m }, requests: 1/day }
${more}`;

let platform: TestPlatform;
beforeAll(async () => void (platform = await startPlatform({ config: config() })));
afterAll(async () => void (await platform.stop()));

const model = 'smollm2:135m';
const say = (content: string) => [{ role: 'user' as const, content }];
const short = { model, max_tokens: 12, temperature: 0, messages: say('Name a colour.') };

const limits = async () => ((await (await platform.fetch('/sutaz/v1/limits')).json()) as ApiLimits).limits;
/** Tokens used of the budget; what is reserved for a request under way is not there once it has ended. */
async function used(): Promise<number> {
  const budget = (await limits()).find(({ name }) => name === 'budget');
  return budget?.accounts[0]?.quotas[0]?.used ?? 0;
}

async function charged(work: () => Promise<number>): Promise<{ readonly said: number; readonly charged: number }> {
  const before = await used();
  const said = await work();
  await until(async () => (await used()) === before + said, 'the budget to be settled', 5_000).catch(() => undefined);
  return { said, charged: (await used()) - before };
}

describe('a budget of tokens agrees with the engine to the token', () => {
  const clients = () => ({
    openai: new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: platform.key, maxRetries: 0 }),
    anthropic: new Anthropic({ baseURL: platform.url, apiKey: platform.key, maxRetries: 0 }),
    ollama: new Ollama({ host: platform.url, headers: { authorization: `Bearer ${platform.key}` } }),
  });
  const told = async (work: () => Promise<number>) => {
    const { said, charged: counted } = await charged(work);
    expect(said).toBeGreaterThan(0);
    expect(counted).toBe(said);
  };

  it("in OpenAI's API, whole and streamed with usage asked for", async () => {
    const { openai } = clients();
    await told(async () => (await openai.chat.completions.create(short)).usage?.total_tokens ?? 0);
    await told(async () => {
      const options = { stream: true as const, stream_options: { include_usage: true } };
      let total = 0;
      const seen: (number | undefined)[] = [];
      for await (const chunk of await openai.chat.completions.create({ ...short, ...options })) {
        total = chunk.usage?.total_tokens ?? total;
        seen.push(chunk.usage?.total_tokens);
      }
      // Only the last chunk tells it, as without a budget.
      expect(seen.filter((tokens) => tokens !== undefined)).toHaveLength(1);
      return total;
    });
    await told(async () => (await openai.embeddings.create({ model, input: ['one', 'two'] })).usage.total_tokens);
    await told(async () => {
      const { usage } = await openai.chat.completions.create({ ...short, n: 2 });
      return usage?.total_tokens ?? 0;
    });
  });

  it('in a stream that does not ask for usage, and sees none', async () => {
    const { openai } = clients();
    const plain = await openai.chat.completions.create(short);
    await told(async () => {
      const stream = await openai.chat.completions.create({ ...short, stream: true });
      let text = '';
      for await (const chunk of stream) {
        expect(chunk).not.toHaveProperty('usage');
        expect(chunk.choices).toHaveLength(1);
        text += chunk.choices[0]?.delta.content ?? '';
      }
      expect(text).toBe(plain.choices[0]?.message.content);
      return plain.usage?.total_tokens ?? 0;
    });
  });

  it("in Anthropic's and Ollama's APIs and in responses", async () => {
    const { anthropic, ollama, openai } = clients();
    await told(async () => {
      const { usage } = await anthropic.messages.create(short);
      return usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + usage.output_tokens;
    });
    await told(async () => {
      const { usage } = await anthropic.messages.stream(short).finalMessage();
      return usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + usage.output_tokens;
    });
    await told(async () => {
      const answer = await ollama.chat({ model, messages: short.messages, options: { num_predict: 5 } });
      return answer.prompt_eval_count + answer.eval_count;
    });
    await told(async () => (await ollama.embed({ model, input: 'one' })).prompt_eval_count);
    await told(async () => {
      const { usage } = await openai.responses.create({ model, max_output_tokens: 12, input: 'Name a colour.' });
      return usage?.total_tokens ?? 0;
    });
  });

  it('when a client leaves a stream: what it had come to', async () => {
    const { openai } = clients();
    const prompt = (await openai.chat.completions.create({ ...short, max_tokens: 1 })).usage?.prompt_tokens ?? 0;
    const before = await used();
    const stream = await openai.chat.completions.create({ ...short, max_tokens: 900, stream: true, seed: 3 });
    let pieces = 0;
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content && ++pieces === 5) break;
    await until(async () => (await platform.unit(model)).leases === 0, 'the lease to be given back', 5_000);
    await until(async () => (await used()) - before < 900, 'the reservation to be settled', 5_000);
    const tokens = (await used()) - before;
    expect(tokens).toBeGreaterThanOrEqual(prompt + pieces);
    // The engine is a few tokens ahead of what its client has read, and no more.
    expect(tokens).toBeLessThan(prompt + 100);
  });
});

describe('the limits', () => {
  it('say which rule matches nothing, with the nearest name', async () => {
    const misspelt = (await limits()).find(({ name }) => name === 'misspelt');
    expect(misspelt?.warnings).toEqual([
      `no model is called smollm3:135m: this limit matches nothing. Did you mean ${model}?`,
    ]);
  });

  it('change while the platform runs, and keep what was used', async () => {
    const before = await used();
    await writeFile(
      join(platform.home, 'sutaz.yaml'),
      config('    - { name: gate, requests: 2/minute }\n').replace('1M/day', '2M/day'),
    );
    await until(async () => (await limits()).length === 3, 'the new rules', 10_000);
    expect(await used()).toBe(before);
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await platform.fetch('/v1/models')).status);
    expect(statuses).toEqual([200, 200, 429]);
    const refused = await platform.fetch('/v1/models');
    expect(refused.headers.get('ratelimit')).toMatch(/^"gate-requests-minute";r=0;t=\d+$/);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(30);
    expect(await (await platform.fetch('/metrics')).text()).toContain(
      'sutaz_limit_refused_total{limit="gate",kind="requests"} 2',
    );
  });

  it('of a day outlive the platform', async () => {
    const before = await used();
    expect(before).toBeGreaterThan(0);
    const { home } = platform;
    await platform.stop();
    platform = await startPlatform({ home, config: config() });
    expect(await used()).toBe(before);
  });
});
