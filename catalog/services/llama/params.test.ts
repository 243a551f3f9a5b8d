import { describe, expect, it } from 'vitest';
import { parseChat } from './chat.ts';
import { parseCompletion } from './completions.ts';
import { normalise, parseEmbeddings, toBase64 } from './embeddings.ts';
import { isApiError } from './errors.ts';
import type { Json } from './json.ts';
import { nearest } from './nearest.ts';
import { samplingOf, streamOf } from './sampling.ts';

/** The error a call ends with, as the client sees it. */
function refusal(call: () => unknown) {
  try {
    call();
  } catch (error) {
    if (isApiError(error)) return { status: error.api.status, ...error.api.body.error };
    throw error;
  }
  throw new Error('nothing was refused');
}

const messages: Json = [{ role: 'user', content: 'hi' }];
const chat = (extra: Record<string, Json>) => parseChat({ model: 'm', messages, ...extra });

describe('chat request', () => {
  it('reads roles and text parts, developer as system', () => {
    const read = parseChat({
      model: 'm',
      messages: [
        { role: 'developer', content: 'be brief' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' },
          ],
        },
        { role: 'assistant', content: 'c', refusal: null, tool_calls: [], parsed: null },
      ],
    });
    expect(read.messages).toEqual([
      { role: 'system', text: 'be brief' },
      { role: 'user', text: 'ab' },
      { role: 'assistant', text: 'c' },
    ]);
  });

  it('takes what clients send that asks for nothing', () => {
    const read = chat({
      user: 'u',
      metadata: { a: 'b' },
      store: true,
      n: 1,
      tools: [],
      tool_choice: 'none',
      logprobs: false,
      temperature: null,
      audio: null,
      modalities: ['text'],
    });
    expect(read.params.temperature).toBeUndefined();
  });

  it.each([
    ['functions', [{ name: 'f' }]],
    ['function_call', { name: 'f' }],
    ['audio', { voice: 'x' }],
    ['modalities', ['text', 'audio']],
    ['reasoning_effort', 'low'],
    ['prediction', { type: 'content', content: 'x' }],
  ] as const)('refuses %s by name', (name, value) => {
    const error = refusal(() => chat({ [name]: value as Json }));
    expect(error).toMatchObject({ status: 400, type: 'invalid_request_error', code: 'unsupported_parameter' });
    expect(error.param).toBe(name);
  });

  it('names an unknown parameter and the nearest right one', () => {
    const error = refusal(() => chat({ temprature: 1 }));
    expect(error).toMatchObject({ param: 'temprature', code: 'unknown_parameter' });
    expect(error.message).toContain("Did you mean 'temperature'?");
    expect(refusal(() => chat({ zzzzzzzz: 1 })).message).not.toContain('Did you mean');
    expect(refusal(() => chat({ ['__proto__x']: 1 })).param).toBe('__proto__x');
    expect(refusal(() => chat({ constructor: 1 })).code).toBe('unknown_parameter');
  });

  it.each([
    [{ temperature: 'hot' }, 'temperature'],
    [{ temperature: 3 }, 'temperature'],
    [{ max_tokens: 0 }, 'max_tokens'],
    [{ max_tokens: 1.5 }, 'max_tokens'],
    [{ stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
    [{ stop: [1] }, 'stop[0]'],
    [{ stream: 'yes' }, 'stream'],
    [{ stream_options: { include_usage: 1 } }, 'stream_options.include_usage'],
    [{ response_format: { type: 'xml' } }, 'response_format.type'],
    [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema'],
    [{ messages: [] }, 'messages'],
    [{ top_logprobs: 2 }, 'top_logprobs'],
    [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
    [{ n: 0 }, 'n'],
    [{ n: 17 }, 'n'],
    [{ messages: [{ role: 'function', content: 'x' }] }, 'messages[0].role'],
    [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].tool_call_id'],
    [{ messages: [{ role: 'user', content: 'x', tool_call_id: '1' }] }, 'messages[0].tool_call_id'],
    [{ messages: [{ role: 'user', content: 'x', tool_calls: [] }] }, 'messages[0].tool_calls'],
    [{ messages: [{ role: 'assistant', content: null }] }, 'messages[0].content'],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content'],
    [{ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, 'messages[0].content[0].type'],
    [{ messages: ['x'] }, 'messages[0]'],
    [{ messages: null }, 'messages'],
    [{ model: null }, 'model'],
    [{ logit_bias: { cat: 1 } }, 'logit_bias'],
  ] as const)('names what is wrong in %j', (extra, param) => {
    expect(refusal(() => chat(extra as unknown as Record<string, Json>))).toMatchObject({ status: 400, param });
  });

  it('refuses a body that is no object', () => {
    expect(refusal(() => parseChat([])).status).toBe(400);
    expect(refusal(() => parseChat(null)).status).toBe(400);
  });

  it('prefers max_completion_tokens', () => {
    expect(chat({ max_tokens: 5, max_completion_tokens: 7 }).maxTokens).toBe(7);
    expect(chat({}).maxTokens).toBeUndefined();
  });
});

describe('sampling', () => {
  it('has the documented defaults, and draws a seed of its own for each request', () => {
    const seeds = [11, 12];
    const draw = () => seeds.shift() ?? 0;
    expect(samplingOf(chat({}).params, 100, draw)).toMatchObject({ temperature: 1, topP: 1, topK: 40, seed: 11 });
    expect(samplingOf(chat({}).params, 100, draw).seed).toBe(12);
  });

  it('brings any seed into 32 bits, the same each time', () => {
    const seedOf = (seed: number) => samplingOf(chat({ seed }).params, 100, () => 0).seed;
    expect(seedOf(-1)).toBe(0xffff_ffff);
    expect(seedOf(2 ** 40 + 5)).toBe(5);
  });

  it('refuses a bias for a token that the model does not have', () => {
    const { params } = chat({ logit_bias: { '100': 5 } });
    expect(refusal(() => samplingOf(params, 100, () => 0)).param).toBe('logit_bias');
    expect(samplingOf(params, 101, () => 0).logitBias.get(100)).toBe(5);
  });

  it('refuses stream options without a stream', () => {
    expect(refusal(() => streamOf(chat({ stream_options: {} }).params)).param).toBe('stream_options');
    expect(streamOf(chat({ stream: true, stream_options: { include_usage: true } }).params)).toEqual({
      stream: true,
      includeUsage: true,
      continuousUsage: false,
    });
  });
});

describe('completion request', () => {
  it('takes a text, one text in a list, or tokens', () => {
    const prompt = (value: Json) => parseCompletion({ model: 'm', prompt: value }).prompt;
    expect(prompt('a')).toBe('a');
    expect(prompt(['a'])).toBe('a');
    expect(prompt([1, 2])).toEqual([1, 2]);
    expect(prompt([[1, 2]])).toEqual([1, 2]);
  });

  it('refuses several prompts, echo and suffix', () => {
    expect(refusal(() => parseCompletion({ model: 'm', prompt: ['a', 'b'] })).param).toBe('prompt');
    expect(refusal(() => parseCompletion({ model: 'm', prompt: 'a', echo: true })).param).toBe('echo');
    expect(refusal(() => parseCompletion({ model: 'm', prompt: 'a', suffix: 'b' })).param).toBe('suffix');
  });
});

describe('embedding request', () => {
  it('takes a text, texts, tokens, or lists of tokens', () => {
    const inputs = (input: Json) => parseEmbeddings({ model: 'm', input }).inputs;
    expect(inputs('a')).toEqual(['a']);
    expect(inputs(['a', 'b'])).toEqual(['a', 'b']);
    expect(inputs([1, 2])).toEqual([[1, 2]]);
    expect(inputs([[1], 'b'])).toEqual([[1], 'b']);
  });

  it('refuses no input, a wrong one, and dimensions', () => {
    expect(refusal(() => parseEmbeddings({ model: 'm', input: [] })).param).toBe('input');
    expect(refusal(() => parseEmbeddings({ model: 'm', input: [true] })).param).toBe('input[0]');
    expect(refusal(() => parseEmbeddings({ model: 'm', input: 'a', dimensions: 8 })).param).toBe('dimensions');
  });

  it('makes vectors of length 1, and writes them as little-endian floats', () => {
    expect(normalise([3, 4])).toEqual([0.6, 0.8]);
    expect(normalise([0, 0])).toEqual([0, 0]);
    expect(Buffer.from(toBase64([1, -2]), 'base64').toString('hex')).toBe('0000803f000000c0');
  });
});

describe('nearest name', () => {
  it('forgives a slip of the finger, and guesses nothing wild', () => {
    expect(nearest('modle', ['model', 'mode'])).toBe('model');
    expect(nearest('max_token', ['max_tokens', 'min_p'])).toBe('max_tokens');
    expect(nearest('abc', ['temperature'])).toBeUndefined();
    expect(nearest('x'.repeat(10_000), ['x'])).toBeUndefined();
  });
});
