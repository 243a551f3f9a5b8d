import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createResponseStream, responseFrom } from './answer.ts';
import type { ResponseEvent } from './answer.ts';
import { responsesCall } from './request.ts';

const bodyOf = (more: object) => responsesCall({ model: 'm', input: 'hi', ...more }).body;

describe('a request for a response', () => {
  it('becomes a chat completion', () => {
    const tool = { type: 'function', name: 'f', parameters: { type: 'object' }, strict: true };
    const { body, stream } = responsesCall({
      ...{ model: 'm', instructions: 'Be brief.', stream: true, max_output_tokens: 5, temperature: 0 },
      ...{ tools: [tool], tool_choice: { type: 'function', name: 'f' }, store: false, reasoning: null },
      input: [
        { role: 'user', content: [{ type: 'input_text', text: 'hi' }] },
        { type: 'reasoning', summary: [] },
        {
          type: 'message',
          role: 'assistant',
          content: [{ type: 'output_text', text: 'Let me see.', annotations: [] }],
        },
        { type: 'function_call', call_id: 'a', name: 'f', arguments: '{}', id: 'fc_1', status: 'completed' },
        { type: 'function_call', call_id: 'b', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: 'a', output: 'x' },
        { type: 'function_call_output', call_id: 'b', output: [{ type: 'input_text', text: 'y' }] },
      ],
    });
    const call = (id: string) => ({ id, type: 'function', function: { name: 'f', arguments: '{}' } });
    expect(stream).toBe(true);
    expect(body).toEqual({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'Let me see.', tool_calls: [call('a'), call('b')] },
        { role: 'tool', tool_call_id: 'a', content: 'x' },
        { role: 'tool', tool_call_id: 'b', content: 'y' },
      ],
      ...{ temperature: 0, max_tokens: 5, stream: true, stream_options: { include_usage: true } },
      tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' }, strict: true } }],
      tool_choice: { type: 'function', function: { name: 'f' } },
    });
    const format = { type: 'json_schema', name: 'n', schema: { type: 'object' }, strict: true };
    expect(bodyOf({ text: { format } }).response_format).toEqual({
      ...{ type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' }, strict: true } },
    });
    expect(bodyOf({ text: { format: { type: 'text' } } }).response_format).toBeUndefined();
  });

  it.each([
    ['auto', undefined],
    ['none', undefined],
    // The engine says what is wrong with it.
    ['required', 'required'],
  ])('without tools hands the choice %s on as %s', (choice, sent) => {
    expect(bodyOf({ tool_choice: choice }).tool_choice).toBe(sent);
  });

  it.each([
    [{ store: true }, 'store'],
    [{ previous_response_id: 'x' }, 'previous_response_id'],
    [{ conversation: 'x' }, 'conversation'],
    [{ background: true }, 'background'],
    [{ include: ['reasoning.encrypted_content'] }, 'include'],
    [{ reasoning: { effort: 'low' } }, 'reasoning'],
    [{ truncation: 'auto' }, 'truncation'],
    [{ tools: [{ type: 'web_search' }] }, 'tools[0].type'],
    [{ text: { verbosity: 'low' } }, 'text.verbosity'],
    [{ input: [{ type: 'item_reference', id: 'x' }] }, 'input[0].type'],
    [{ input: [{ role: 'user', content: [{ type: 'input_image' }] }] }, 'input[0].content[0].image_url'],
    [{ input: null }, 'input'],
    [{ inputs: 1 }, 'inputs'],
  ])('names what is wrong in %j', (more, param) => {
    expect(() => bodyOf(more)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST', param }));
  });
});

const named = { id: '1', model: 'm', created: 7, echo: { instructions: null } };
const chunk = (delta: object, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason }],
});
interface Item {
  readonly content?: readonly { readonly text: string }[];
  readonly arguments?: string;
}
const textOf = ({ content, arguments: json }: Item): string => content?.map(({ text }) => text).join('') ?? json ?? '';

describe('an answer as a response', () => {
  it('is a stream whose items come one after the other, and whose end says it all again', () => {
    const part = fc.oneof(
      fc.string({ minLength: 1 }).map((content) => ({ content })),
      fc.tuple(fc.nat(2), fc.string()).map(([index, json]) => ({
        tool_calls: [{ index, id: `c${index}`, function: { name: `f${index}`, arguments: json } }],
      })),
    );
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const stream = createResponseStream(named);
        const events: ResponseEvent[] = [
          ...[...parts, {}].flatMap((delta, at) => stream.push(chunk(delta, at === parts.length ? 'stop' : null))),
          ...stream.end(),
        ];
        expect(events.map(({ sequence_number: n }) => n)).toEqual(events.map((_, index) => index));
        const deltas = events.filter(({ type }) => type.endsWith('.delta')).map(({ delta }) => delta);
        const { output } = events.at(-1)?.response as { output: Item[] };
        expect(output.map(textOf).join('')).toBe(deltas.join(''));
        const count = (type: string) => events.filter((event) => event.type === `response.${type}`).length;
        expect([count('output_item.added'), count('output_item.done')]).toEqual([output.length, output.length]);
        expect(events.at(-1)?.type).toBe('response.completed');
      }),
    );
  });

  it('is incomplete where there was no room, and has its calls and its usage', () => {
    const call = { id: 'c', function: { name: 'f', arguments: '{}' } };
    const usage = { prompt_tokens: 3, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 1 } };
    const answer = { choices: [{ message: { content: 'a', tool_calls: [call] }, finish_reason: 'length' }], usage };
    expect(responseFrom(answer, named)).toMatchObject({
      ...{ id: 'resp_1', object: 'response', created_at: 7, status: 'incomplete', model: 'm' },
      incomplete_details: { reason: 'max_output_tokens' },
      output: [
        { type: 'message', content: [{ type: 'output_text', text: 'a' }] },
        { type: 'function_call', call_id: 'c', name: 'f', arguments: '{}' },
      ],
      usage: { input_tokens: 3, input_tokens_details: { cached_tokens: 1 }, output_tokens: 2, total_tokens: 5 },
    });
  });
});
