import { describe, expect, it, onTestFinished } from 'vitest';
import type { EngineEndpoint, EngineTraits } from './engine.ts';

/** What an engine brings to its conformance test: one that is up, with a chat model. */
export interface EngineHarness {
  readonly endpoint: EngineEndpoint;
  readonly traits: EngineTraits;
}

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}
interface Answer {
  readonly id: string;
  readonly object: string;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly finish_reason: string | null;
    readonly text?: string;
    readonly message?: { readonly role: string; readonly content: string };
    readonly delta?: { readonly role?: string; readonly content?: string | null };
  }[];
  readonly usage?: Usage | null;
}

const counting = 'Count slowly from one to one hundred, in words.';
const user = (content: string) => [{ role: 'user', content }];
/** The same words each time: with the temperature at 0 and a seed, engines owe the same answer. */
const steady = { temperature: 0, seed: 7 };
/** Milliseconds after the client has left within which its place must be of use to others. Loaded machines take time. */
const leavingMs = 3_000;

/** What every engine must do. `open` is called once; whoever opened the engine closes it. */
export function engineConformance(name: string, open: () => EngineHarness): void {
  const at = (path: string) => `${open().endpoint.url}${path}`;
  const headers = (key = open().endpoint.key) => ({
    'content-type': 'application/json',
    ...(key === null ? {} : { authorization: `Bearer ${key}` }),
  });
  const post = (path: string, body: unknown, signal?: AbortSignal) =>
    fetch(at(path), {
      method: 'POST',
      headers: headers(),
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...(signal ? { signal } : {}),
    });
  const chat = async (extra: object = {}): Promise<Answer> => {
    const response = await post('/v1/chat/completions', chatBody(extra));
    expect(response.status, await response.clone().text()).toBe(200);
    return (await response.json()) as Answer;
  };
  const chatBody = (extra: object = {}) => ({
    model: open().endpoint.model,
    messages: user(counting),
    max_tokens: 12,
    ...steady,
    ...extra,
  });
  const refused = async (response: Response, statuses: readonly number[]) => {
    expect(statuses).toContain(response.status);
    const { error } = (await response.json()) as { error: { message: string } };
    expect(error.message.length).toBeGreaterThan(0);
    return error;
  };

  describe(`${name} keeps the engine contract`, () => {
    it('says that it is ready, without a key', async () => {
      expect((await fetch(at(open().traits.health))).ok).toBe(true);
    });

    it('lists its model', async () => {
      const { data } = (await (await fetch(at('/v1/models'), { headers: headers() })).json()) as {
        data: { id: string }[];
      };
      expect(data.map(({ id }) => id)).toContain(open().endpoint.model);
    });

    it('refuses a wrong key and a missing one', async ({ skip }) => {
      if (open().endpoint.key === null) skip('it asks for no key');
      const body = JSON.stringify(chatBody());
      for (const key of ['sk-wrong', null]) {
        await refused(await fetch(at('/v1/chat/completions'), { method: 'POST', headers: headers(key), body }), [401]);
      }
    });

    it('answers a conversation and counts its tokens', async () => {
      const answer = await chat();
      expect(answer.object).toBe('chat.completion');
      expect(answer.model).toBe(open().endpoint.model);
      expect(answer.choices).toHaveLength(1);
      expect(answer.choices[0]).toMatchObject({ index: 0, message: { role: 'assistant' } });
      expect(answer.choices[0]?.message?.content.length).toBeGreaterThan(0);
      const { prompt_tokens: prompt = 0, completion_tokens: completion = 0, total_tokens: total } = answer.usage ?? {};
      expect(prompt).toBeGreaterThan(5);
      expect(completion).toBeGreaterThan(0);
      expect(completion).toBeLessThanOrEqual(12);
      expect(total).toBe(prompt + completion);
    });

    it('ends with length at max_tokens', async () => {
      const { choices, usage } = await chat({ max_tokens: 3 });
      expect(choices[0]?.finish_reason).toBe('length');
      expect(usage?.completion_tokens).toBe(3);
    });

    it('streams what it would have answered whole, with its usage when asked', async () => {
      const whole = await chat();
      const body = chatBody({ stream: true, stream_options: { include_usage: true } });
      const response = await post('/v1/chat/completions', body);
      expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
      const { chunks, done } = await readStream(response);
      expect(done).toBe(true);
      expect(chunks.every(({ object }) => object === 'chat.completion.chunk')).toBe(true);
      expect(textOf(chunks)).toBe(whole.choices[0]?.message?.content);
      const reasons = chunks.flatMap(({ choices }) => choices.map((choice) => choice.finish_reason)).filter(Boolean);
      expect(reasons).toEqual([whole.choices[0]?.finish_reason]);
      expect(chunks.findLast(({ usage }) => usage)?.usage).toMatchObject({
        prompt_tokens: whole.usage?.prompt_tokens,
        completion_tokens: whole.usage?.completion_tokens,
      });
    });

    it('stops where it is told to', async () => {
      const whole = (await chat()).choices[0]?.message?.content ?? '';
      const stop = whole.slice(6, 9);
      const cut = await chat({ stop: [stop] });
      expect(cut.choices[0]?.message?.content).toBe(whole.slice(0, whole.indexOf(stop)));
      expect(cut.choices[0]?.finish_reason).toBe('stop');
    });

    it('goes on with a text', async ({ skip }) => {
      if (!open().traits.completions) skip('it has no completions');
      const body = { model: open().endpoint.model, prompt: 'One, two, three,', max_tokens: 4, ...steady };
      const response = await post('/v1/completions', body);
      expect(response.status).toBe(200);
      const answer = (await response.json()) as Answer;
      expect(answer.object).toBe('text_completion');
      expect(answer.choices[0]?.text?.length).toBeGreaterThan(0);
    });

    it('makes one vector for each text, in their order, like for like', async ({ skip }) => {
      if (!open().traits.embeddings) skip('it makes no embeddings');
      const input = ['The cat sleeps on the sofa.', 'Interest rates rose in March.', 'The cat sleeps on the sofa.'];
      const response = await post('/v1/embeddings', { model: open().endpoint.model, input, encoding_format: 'float' });
      expect(response.status, await response.clone().text()).toBe(200);
      const { data } = (await response.json()) as { data: { index: number; embedding: number[] }[] };
      expect(data.map(({ index }) => index)).toEqual([0, 1, 2]);
      const [cat = [], rates = [], again = []] = data.map(({ embedding }) => embedding);
      expect(dot(cat, cat)).toBeCloseTo(1, 3);
      expect(dot(cat, again)).toBeCloseTo(1, 3);
      expect(dot(cat, rates)).toBeLessThan(dot(cat, again));
    });

    it('answers more at once than it has slots', async () => {
      const count = open().traits.slots * 2 + 1;
      const asked = Array.from({ length: count }, (_, i) => chat({ messages: user(`${counting} Start at ${i}.`) }));
      for (const { choices } of await Promise.all(asked)) expect(choices[0]?.message?.content).toBeTruthy();
    });

    it('has room again once clients have left in the middle of their answers', async () => {
      const { slots } = open().traits;
      const tokens = 400;
      const long = (i: number) =>
        chatBody({ messages: user(`${counting} Again: ${i}.`), stream: true, max_tokens: tokens });
      const paces = await Promise.all(
        Array.from({ length: slots + 1 }, async (_, i) => {
          const leave = new AbortController();
          const response = await post('/v1/chat/completions', long(i), leave.signal);
          const times: number[] = [];
          for await (const { choices } of eventsOf(response)) {
            if (choices[0]?.delta?.content && times.push(performance.now()) === 3) break;
          }
          leave.abort();
          return ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 2;
        }),
      );
      const left = performance.now();
      await Promise.all(Array.from({ length: slots }, () => chat({ max_tokens: 1 })));
      // An engine that is slow, or on a machine that is, has no place sooner than its step ends: a tenth of what was left to do.
      expect(performance.now() - left).toBeLessThan(Math.max(leavingMs, (Math.min(...paces) * tokens) / 10));
    });

    it('refuses what it cannot read with 4xx and goes on', async () => {
      await refused(await post('/v1/chat/completions', '{"model": '), [400]);
      await refused(await post('/v1/chat/completions', { model: open().endpoint.model }), [400, 422]);
      await refused(await post('/v1/chat/completions', chatBody({ messages: 'hello' })), [400, 422]);
      expect((await chat({ max_tokens: 1 })).choices).toHaveLength(1);
    });

    it('refuses a prompt that is longer than its context, also as a stream, and goes on', async () => {
      const { contextTokens, cutsPrompts } = open().traits;
      const content = 'word '.repeat(contextTokens + 200);
      if (cutsPrompts) {
        const { usage } = await chat({ messages: user(content), max_tokens: 1 });
        expect(usage?.prompt_tokens).toBeLessThanOrEqual(contextTokens);
        return;
      }
      for (const stream of [false, true]) {
        const response = await post('/v1/chat/completions', chatBody({ messages: user(content), stream }));
        const { message } = await refused(response, [400, 413]);
        expect(message).toMatch(/context|too long|maximum/i);
      }
      expect((await chat({ max_tokens: 1 })).choices).toHaveLength(1);
    });

    it('answers 404 where there is nothing', async () => {
      const response = await post('/v1/nothing', {});
      onTestFinished(async () => void (await response.body?.cancel()));
      expect(response.status).toBe(404);
    });
  });
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);

const textOf = (chunks: readonly Answer[]): string =>
  chunks.map(({ choices }) => choices[0]?.delta?.content ?? '').join('');

async function readStream(response: Response): Promise<{ readonly chunks: Answer[]; readonly done: boolean }> {
  const chunks: Answer[] = [];
  let done = false;
  for await (const chunk of eventsOf(response, () => (done = true))) chunks.push(chunk);
  return { chunks, done };
}

/** The events of a stream as they come; comments are left out. */
async function* eventsOf(response: Response, onDone = () => undefined as unknown): AsyncGenerator<Answer> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split(/\r?\n/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const data = /^data: ?(.*)$/.exec(line)?.[1];
      if (data === '[DONE]') onDone();
      else if (data) yield JSON.parse(data) as Answer;
    }
  }
}
