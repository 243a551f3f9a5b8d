import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '#kernel/faults';
import { createMessageStream, encode, messageOf } from './answer.ts';
import type { MessageEvent } from './answer.ts';
import { countCall, messagesCall } from './request.ts';

const messages = [{ role: 'user', content: 'hi' }];
const base = { model: 'm', max_tokens: 5, messages };
const bodyOf = (more: object) => messagesCall({ ...base, ...more }).body;

describe('a request for a message', () => {
  it('becomes a chat completion', () => {
    const { body, model, stream } = messagesCall({
      ...base,
      ...{
        system: [
          { type: 'text', text: 'Be ' },
          { type: 'text', text: 'brief.', cache_control: { type: 'ephemeral' } },
        ],
      },
      ...{ stream: true, temperature: 1, top_k: 3, stop_sequences: ['x'], metadata: { user_id: 'u' } },
      ...{ thinking: { type: 'disabled' }, tool_choice: { type: 'any', disable_parallel_tool_use: true } },
      tools: [{ name: 'f', description: 'd', input_schema: { type: 'object' } }],
    });
    expect([model, stream]).toEqual(['m', true]);
    expect(body).toEqual({
      messages: [{ role: 'system', content: 'Be brief.' }, ...messages],
      tools: [{ type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' } } }],
      ...{ tool_choice: 'required', parallel_tool_calls: false, max_tokens: 5, temperature: 1, top_k: 3, stop: ['x'] },
      ...{ stream: true, stream_options: { include_usage: true } },
    });
  });

  it('has its calls and their results where OpenAI wants them, without what the model thought', () => {
    const said = [
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'hm', signature: 'x' },
          { type: 'text', text: 'Let me see.' },
          { type: 'tool_use', id: 't1', name: 'f', input: { a: 1 } },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 't1', content: [{ type: 'text', text: 'no' }], is_error: true },
          { type: 'text', text: 'Go on.' },
        ],
      },
    ];
    expect(bodyOf({ messages: [...messages, ...said] }).messages).toEqual([
      ...messages,
      {
        ...{ role: 'assistant', content: 'Let me see.' },
        tool_calls: [{ id: 't1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }],
      },
      { role: 'tool', tool_call_id: 't1', content: 'Error: no' },
      { role: 'user', content: 'Go on.' },
    ]);
  });

  it('keeps to a form, and is counted without being answered', () => {
    const form = { type: 'json_schema', schema: { type: 'object' } };
    const wanted = { type: 'json_schema', json_schema: { name: 'answer', schema: { type: 'object' } } };
    expect(bodyOf({ output_config: { format: form } }).response_format).toEqual(wanted);
    expect(countCall({ model: 'm', messages, system: 's' })).toEqual({
      ...{ model: 'm', body: { messages: [{ role: 'system', content: 's' }, ...messages] } },
    });
  });

  it.each([
    [{ max_tokens: null }, 'max_tokens'],
    [{ messages: [] }, 'messages'],
    [{ temperature: 1.5 }, 'temperature'],
    [{ thinking: { type: 'enabled', budget_tokens: 1024 } }, 'thinking'],
    [{ output_config: { effort: 'high' } }, 'output_config.effort'],
    [{ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools[0].type'],
    [{ mcp_servers: [{}] }, 'mcp_servers'],
    [{ container: 'x' }, 'container'],
    [{ tool_choice: { type: 'tool' } }, 'tool_choice.name'],
    [{ messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }, 'messages[0].content[0].source.type'],
    [{ messages: [{ role: 'system', content: 'x' }] }, 'messages[0].role'],
    [
      { messages: [{ role: 'assistant', content: [{ type: 'tool_result', tool_use_id: 'x' }] }] },
      'messages[0].content',
    ],
    [{ max_token: 3 }, 'max_token'],
  ])('names what is wrong in %j', (more, param) => {
    expect(() => bodyOf(more)).toThrow(Fault);
    expect(() => bodyOf(more)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST', param }));
  });
});

const named = { id: 'msg_1', model: 'm' };
const chunk = (delta: object, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason }],
});

/** Puts a stream together as Anthropic's clients do; throws where they would. */
function accumulated(events: readonly MessageEvent[]) {
  const blocks: { text: string; stopped: boolean; type: unknown }[] = [];
  const types = events.map(({ type }) => type);
  expect(types[0]).toBe('message_start');
  expect(types.slice(-2)).toEqual(['message_delta', 'message_stop']);
  for (const event of events) {
    const index = Number(event.index);
    if (event.type === 'content_block_start') {
      expect(blocks.every(({ stopped }) => stopped)).toBe(true);
      expect(index).toBe(blocks.length);
      blocks.push({ text: '', stopped: false, type: (event.content_block as { type: string }).type });
    }
    const block = blocks[index];
    const delta = event.delta as { text?: string; partial_json?: string } | undefined;
    if (event.type === 'content_block_delta' && block) {
      expect(block.stopped).toBe(false);
      block.text += delta?.text ?? delta?.partial_json ?? '';
    }
    if (event.type === 'content_block_stop' && block) block.stopped = true;
  }
  expect(blocks.every(({ stopped }) => stopped)).toBe(true);
  return blocks;
}

describe('an answer as a message', () => {
  it('is a stream whose blocks come one after the other, whatever the chunks are', () => {
    const part = fc.oneof(
      fc.string().map((content) => ({ content })),
      fc.tuple(fc.nat(2), fc.string()).map(([index, json]) => ({
        tool_calls: [{ index, id: `c${index}`, function: { name: `f${index}`, arguments: json } }],
      })),
    );
    fc.assert(
      fc.property(fc.array(part), fc.constantFrom('stop', 'length', 'tool_calls'), (parts, reason) => {
        const stream = createMessageStream(named);
        const events = [...parts, {}].flatMap((delta, at) =>
          stream.push(chunk(delta, at === parts.length ? reason : null)),
        );
        const blocks = accumulated([...events, ...stream.end()]);
        const all = parts.map((one) =>
          'content' in one ? one.content : (one.tool_calls[0]?.function.arguments ?? ''),
        );
        expect(blocks.map(({ text }) => text).join('')).toBe(all.join(''));
      }),
    );
  });

  it('says why it ended and what was used, counting apart what was cached', () => {
    const usage = { prompt_tokens: 10, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 4 } };
    const counted = { input_tokens: 6, cache_read_input_tokens: 4, cache_creation_input_tokens: 0, output_tokens: 2 };
    const stream = createMessageStream(named);
    stream.push(chunk({ content: 'a' }, 'length'));
    stream.push({ choices: [], usage });
    expect(stream.end().at(-2)).toEqual({
      ...{ type: 'message_delta', delta: { stop_reason: 'max_tokens', stop_sequence: null }, usage: counted },
    });
    const stopped = { choices: [{ message: { content: 'a' }, finish_reason: 'stop', stop_reason: 'x' }] };
    expect(messageOf(stopped, named)).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: 'x' });
    const call = { id: 'c', function: { name: 'f', arguments: '{"a":1}' } };
    const answer = {
      choices: [{ message: { content: null, tool_calls: [call] }, finish_reason: 'tool_calls' }],
      usage,
    };
    expect(messageOf(answer, named)).toEqual({
      ...{ id: 'msg_1', type: 'message', role: 'assistant', model: 'm', stop_sequence: null, usage: counted },
      ...{ content: [{ type: 'tool_use', id: 'c', name: 'f', input: { a: 1 } }], stop_reason: 'tool_use' },
    });
    expect(encode({ type: 'ping' })).toBe('event: ping\ndata: {"type":"ping"}\n\n');
  });
});
