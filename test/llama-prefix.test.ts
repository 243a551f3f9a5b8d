import OpenAI from 'openai';
import { expect, it } from 'vitest';
import { startEngine } from './_engine.ts';

const modelPath = process.env['SUTAZ_TEST_MODEL'] ?? '';
const path = process.env['SUTAZ_TEST_LLAMA_ENV'] ?? '';
const longText = 'The quick brown fox jumps over the lazy dog. '.repeat(40);

it('evaluates a system prompt that conversations share only once, also while it is in use', async () => {
  const environment = { id: 'given', path, bin: '', env: {} };
  const engine = await startEngine('llama', { modelPath, context: 512, slots: 2, threads: 1, environment });
  try {
    const { url, key, model } = engine.endpoint;
    const client = new OpenAI({ apiKey: key ?? '', baseURL: `${url}/v1`, maxRetries: 0 });
    const ask = async (question: string, system = `You are a fox. ${longText}`) => {
      const messages = [
        { role: 'system' as const, content: system },
        { role: 'user' as const, content: question },
      ];
      const answer = await client.chat.completions.create({
        model,
        messages,
        max_completion_tokens: 24,
        temperature: 0,
      });
      const { prompt_tokens: prompt = 0, prompt_tokens_details: details } = answer.usage ?? {};
      return { text: answer.choices[0]?.message.content, prompt, cached: details?.cached_tokens ?? 0 };
    };
    const first = await ask('Who are you?');
    const shared = first.prompt - 20;
    expect(shared).toBeGreaterThan(300);
    // Both slots are taken: one goes on where the first one was, the other has its copy of it.
    const [one, other] = await Promise.all([ask('Who are you?'), ask('What do you jump over?')]);
    expect(one.cached).toBeGreaterThan(shared);
    expect(other.cached).toBeGreaterThan(shared);
    expect(one.text).toBe(first.text);
    // What a copy says is what its own evaluation would have said.
    await Promise.all([ask('Forget the fox.', longText), ask('Forget the dog.', `Now. ${longText}`)]);
    expect((await ask('What do you jump over?')).text).toBe(other.text);
  } finally {
    await engine.stop();
  }
});
