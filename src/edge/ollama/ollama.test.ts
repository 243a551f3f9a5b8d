import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '#kernel/faults';
import { createOllamaStream, folded, loadedAnswer } from './answer.ts';
import type { ApiModelDetails, ApiUnit } from '#contracts/api';
import { detailsOf, loadedOf, pullStatus } from './describe.ts';
import { capabilitiesOf } from '../models.ts';
import { checkContext } from './options.ts';
import { chatCall, embedCall, embeddingsCall, generateCall, namedModel } from './request.ts';

const refusal = (call: () => unknown): Fault => {
  try {
    call();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};
const messages = [{ role: 'user', content: 'hi' }];

describe('a request of Ollama', () => {
  it('becomes a chat: options by their other names, Ollama’s own defaults, its form and its tools', () => {
    const tools = [{ type: 'function', function: { name: 'f' } }];
    const call = chatCall({
      ...{ model: 'm', messages, tools, format: 'json', keep_alive: '1h30m' },
      options: { num_predict: 5, top_k: 3, stop: 'x', seed: 1, num_ctx: 100, mirostat: 0 },
    });
    expect(call).toMatchObject({ model: 'm', path: '/v1/chat/completions', stream: true, keepAlive: 5_400_000 });
    expect(call.body).toEqual({
      ...{ messages, tools, response_format: { type: 'json_object' } },
      ...{ max_tokens: 5, top_k: 3, stop: ['x'], seed: 1, stream: true, stream_options: { include_usage: true } },
    });
    expect(call.usual).toEqual({ temperature: 0.8, top_p: 0.9 });
    expect(() => checkContext(call.options.context ?? 0, 99)).toThrow('options.num_ctx is 100');
    expect(() => checkContext(100, 100)).not.toThrow();
    expect(() => checkContext(100, undefined)).not.toThrow();
  });

  it('gets ids for calls that have none, and its results find them in order or by name', () => {
    const called = (...names: string[]) => ({
      role: 'assistant',
      tool_calls: names.map((name) => ({ function: { name, arguments: { a: 1 } } })),
    });
    const { body } = chatCall({
      model: 'm',
      messages: [...messages, called('f', 'g', 'g'), ...['', 'g', ''].map(tool)],
    });
    function tool(tool_name: string) {
      return { role: 'tool', content: 'x', ...(tool_name && { tool_name }) };
    }
    const sent = body.messages as { tool_call_id?: string; tool_calls?: { id: string; function: object }[] }[];
    expect(sent[1]?.tool_calls?.[0]).toEqual({
      ...{ id: 'call_1_0', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
    });
    expect(sent.slice(2).map((one) => one.tool_call_id)).toEqual(['call_1_0', 'call_1_1', 'call_1_2']);
  });

  it('keeps the ids that a client gave: results find their calls by them, in whatever order', () => {
    const call = (id: string) => ({ id, function: { name: 'weather', arguments: {} } });
    const result = (tool_call_id: string) => ({
      role: 'tool',
      content: tool_call_id,
      tool_call_id,
      tool_name: 'weather',
    });
    const { body } = chatCall({
      model: 'm',
      messages: [...messages, { role: 'assistant', tool_calls: [call('A'), call('B')] }, result('B'), result('A')],
    });
    expect(body.messages).toMatchObject([
      {},
      { tool_calls: [{ id: 'A' }, { id: 'B' }] },
      { tool_call_id: 'B' },
      { tool_call_id: 'A' },
    ]);
  });

  it('generates by a chat, or raw; with nothing to say it loads', () => {
    expect(generateCall({ model: 'm', prompt: 'p', system: 's', stream: false })).toMatchObject({
      stream: false,
      body: {
        messages: [
          { role: 'system', content: 's' },
          { role: 'user', content: 'p' },
        ],
      },
    });
    expect(generateCall({ name: 'm', prompt: 'p', raw: true })).toMatchObject({ model: 'm', path: '/v1/completions' });
    expect(generateCall({ model: 'm', keep_alive: 0 })).toMatchObject({ path: null, keepAlive: 0 });
    expect(chatCall({ model: 'm', messages: [], keep_alive: -1 })).toMatchObject({ path: null, keepAlive: Infinity });
    expect(chatCall({ model: 'm', messages, keep_alive: 90 }).keepAlive).toBe(90_000);
    expect(chatCall({ model: 'm', messages }).keepAlive).toBeNull();
  });

  it('embeds texts or one text', () => {
    expect(embedCall({ model: 'm', input: ['a'], truncate: true, dimensions: 3 }).body).toEqual({
      ...{ input: ['a'], encoding_format: 'float', dimensions: 3 },
    });
    expect(embeddingsCall({ model: 'm', prompt: 'a' }).body.input).toBe('a');
    expect(namedModel({ name: 'm', stream: false })).toEqual({ model: 'm', stream: false });
  });

  it.each([
    ['options.mirostat', () => chatCall({ model: 'm', messages, options: { mirostat: 2 } })],
    ['options.num_gpu', () => chatCall({ model: 'm', messages, options: { num_gpu: 3 } })],
    ['options.temprature', () => chatCall({ model: 'm', messages, options: { temprature: 2 } })],
    ['options.temperature', () => chatCall({ model: 'm', messages, options: { temperature: 3 } })],
    ['keep_alive', () => chatCall({ model: 'm', messages, keep_alive: 'long' })],
    ['keep_alive', () => chatCall({ model: 'm', messages, keep_alive: '5x3m' })],
    ['format', () => chatCall({ model: 'm', messages, format: 'xml' })],
    ['think', () => chatCall({ model: 'm', messages, think: true })],
    ['logprobs', () => chatCall({ model: 'm', messages, logprobs: true })],
    ['messages[0].images[0]', () => chatCall({ model: 'm', messages: [{ role: 'user', images: ['x'] }] })],
    ['messages[0].role', () => chatCall({ model: 'm', messages: [{ role: 'robot' }] })],
    ['model', () => chatCall({ messages })],
    ['template', () => generateCall({ model: 'm', prompt: 'p', template: '{{ .Prompt }}' })],
    ['context', () => generateCall({ model: 'm', prompt: 'p', context: [1] })],
    ['suffix', () => generateCall({ model: 'm', prompt: 'p', suffix: 's' })],
    ['system', () => generateCall({ model: 'm', prompt: 'p', raw: true, system: 's' })],
    ['format', () => generateCall({ model: 'm', prompt: 'p', raw: true, format: 'json' })],
    ['input', () => embedCall({ model: 'm' })],
  ])('names %s when it is wrong', (param, call) => {
    expect(refusal(call)).toMatchObject({ code: 'BAD_REQUEST', param });
  });
});

const chunk = (delta: object, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason }],
});
const about = { kind: 'chat' as const, model: 'm', now: () => new Date(0), clock: () => 0 };
const timing = { queueMs: 1, wakeMs: 2, firstMs: 3, totalMs: 10, sinceMs: 20 };

describe('an answer of Ollama', () => {
  it('is the same text in any pieces, streamed or folded', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.constantFrom('chat', 'generate'), (texts, kind) => {
        const stream = createOllamaStream({ ...about, kind });
        const pieces = texts.flatMap((content) => stream.push(chunk({ content })));
        const objects = [...pieces, ...stream.push(chunk({}, 'length')), stream.end(timing)];
        const whole = folded(objects);
        const said = kind === 'chat' ? (whole.message as { content: string }).content : whole.response;
        expect(said).toBe(texts.join(''));
        expect(whole).toMatchObject({ model: 'm', done: true, done_reason: 'length' });
        expect(objects.filter((one) => (one as { done: boolean }).done)).toHaveLength(1);
      }),
    );
  });

  it('tells a call once it is whole, wherever its pieces end', () => {
    const json = JSON.stringify({ city: 'Žilina', unit: 'metric' });
    fc.assert(
      fc.property(fc.array(fc.nat(json.length)), (cuts) => {
        const at = [...cuts].sort((a, b) => a - b);
        const parts = [0, ...at].map((from, index) => json.slice(from, at[index] ?? json.length));
        const stream = createOllamaStream(about);
        const call = (fields: object) => stream.push(chunk({ tool_calls: [{ index: 0, ...fields }] }));
        expect(call({ id: 'x', function: { name: 'f', arguments: '' } })).toEqual([]);
        for (const part of parts) expect(call({ function: { arguments: part } })).toEqual([]);
        const told = [...stream.push(chunk({}, 'tool_calls')), stream.end(timing)];
        expect(folded(told).message).toEqual({
          ...{ role: 'assistant', content: '' },
          tool_calls: [{ function: { name: 'f', arguments: { city: 'Žilina', unit: 'metric' } } }],
        });
        expect(folded(told).done_reason).toBe('stop');
      }),
    );
  });

  it('says what it took, in nanoseconds', () => {
    let now = 0;
    const stream = createOllamaStream({ ...about, clock: () => now });
    stream.push(chunk({ role: 'assistant', content: '' }));
    now = 4;
    stream.push(chunk({ content: 'a' }));
    stream.push({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 2 } });
    now = 10;
    expect(stream.end(timing)).toMatchObject({
      ...{ total_duration: 20e6, load_duration: 3e6, prompt_eval_count: 7, prompt_eval_duration: 4e6 },
      ...{ eval_count: 2, eval_duration: 6e6 },
    });
    expect(loadedAnswer({ ...about, kind: 'generate' }, 'unload')).toMatchObject({
      response: '',
      done_reason: 'unload',
    });
  });
});

describe('what is told of models', () => {
  it('is in Ollama’s words', () => {
    expect(detailsOf({ architecture: 'llama', parameters: 134_515_008, quantization: 'Q4_1' })).toMatchObject({
      ...{ family: 'llama', families: ['llama'], parameter_size: '134.52M', quantization_level: 'Q4_1' },
    });
    expect(detailsOf(null)).toMatchObject({ family: '', families: [], parameter_size: '' });
    expect(detailsOf({ parameters: 3.2e9 }).parameter_size).toBe('3.2B');
    expect(capabilitiesOf(['openai.chat', 'openai.embeddings'])).toEqual(['completion', 'tools', 'embedding']);
    expect(pullStatus({ phase: 'resolving', what: 'x', done: 0 })).toEqual({ status: 'pulling manifest' });
    expect(pullStatus({ phase: 'downloading', what: 'x.gguf', done: 1, total: 2 })).toEqual({
      ...{ status: 'pulling x.gguf', digest: 'x.gguf', total: 2, completed: 1 },
    });
    expect(pullStatus({ phase: 'installing', what: 'pip', done: 1, unit: 'steps' })).toEqual({
      status: 'installing pip',
    });
  });

  it('counts what is loaded, on the card too, and how long it stays', () => {
    const model = { id: 'm', context: 512, header: null, pulled: null, sizeBytes: 1 } as unknown as ApiModelDetails;
    const unit = {
      idleAfterMs: 60_000,
      idleMs: 10_000,
      bytes: { reserved: 10 },
      vram: { reserved: 5 },
    } as unknown as ApiUnit;
    expect(loadedOf(model, unit, 0)).toMatchObject({ size: 15, size_vram: 5, expires_at: '1970-01-01T00:00:50.000Z' });
    const kept = { ...unit, idleAfterMs: null, vram: null };
    expect(loadedOf(model, kept, 0)).toMatchObject({ size: 10, size_vram: 0, expires_at: '9999-12-31T23:59:59Z' });
  });
});
