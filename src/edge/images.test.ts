import { afterEach, describe, expect, it } from 'vitest';
import { unitId } from '#kernel/ids';
import { fakeModels, openDoor } from './door.fake.ts';
import type { OpenDoor } from './door.fake.ts';
import type { ModelChoice } from './models.ts';

/** One pixel. */
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=';
const url = `data:image/png;base64,${png}`;
const shown = { type: 'image_url', image_url: { url } };
const words = { type: 'text', text: 'What is it?' };
const remote = 'https://example.org/cat.png';

let door: OpenDoor | undefined;
const seen: Record<string, unknown>[] = [];
afterEach(() => door?.close());

const choiceOf = (id: string, sees: boolean): ModelChoice => ({
  ...{ unit: unitId('model', id), id, manner: null },
  provides: ['openai.chat', ...(sees ? ['openai.vision'] : [])],
});

async function ask(path: string, body: object, choices: readonly ModelChoice[]) {
  seen.length = 0;
  door = await openDoor(
    (req, res) => {
      let text = '';
      req.on('data', (chunk: Buffer) => (text += chunk.toString()));
      req.on('end', () => {
        seen.push(JSON.parse(text) as Record<string, unknown>);
        const streams = seen[0]?.stream === true;
        res.writeHead(200, { 'content-type': streams ? 'text/event-stream' : 'application/json' });
        const choices = [{ index: 0, message: { role: 'assistant', content: 'A cat' }, finish_reason: 'stop' }];
        res.end(streams ? 'data: [DONE]\n\n' : JSON.stringify({ choices }));
      });
    },
    { models: { ...fakeModels, choose: () => choices } },
  );
  return door.ask(path, { method: 'POST', body: JSON.stringify({ model: 'x', ...body }) });
}

const anthropicImage = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } };
const user = (content: unknown) => ({ messages: [{ role: 'user', content }] });
const called = { role: 'assistant', content: [{ type: 'tool_use', id: 't', name: 'look', input: {} }] };
const result = { type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: 'Here:' }, anthropicImage] };

/** The same image as each API writes it, where that is, and what the engine is asked. */
const cases: readonly (readonly [string, object, string, unknown])[] = [
  ['/v1/chat/completions', user([words, shown]), 'messages[0].content[1]', [words, shown]],
  ['/v1/messages', { max_tokens: 5, ...user([anthropicImage, words]) }, 'messages[0].content[0]', [shown, words]],
  [
    '/v1/messages',
    { max_tokens: 5, ...user([{ type: 'image', source: { type: 'url', url: remote } }]) },
    'messages[0].content[0]',
    [{ type: 'image_url', image_url: { url: remote } }],
  ],
  [
    '/v1/messages',
    {
      max_tokens: 5,
      messages: [{ role: 'user', content: 'Look.' }, called, { role: 'user', content: [result, words] }],
    },
    'messages[2].content[0].content[1]',
    [shown, words],
  ],
  ['/v1/messages/count_tokens', user([anthropicImage]), 'messages[0].content[0]', [shown]],
  [
    '/api/chat',
    { messages: [{ role: 'user', content: words.text, images: [png] }] },
    'messages[0].images[0]',
    [shown, words],
  ],
  ['/api/generate', { prompt: words.text, images: [png] }, 'images[0]', [shown, words]],
  ['/api/generate', { images: [`${png.slice(0, 60)}\n${png.slice(60)}`], stream: false }, 'images[0]', [shown]],
  [
    '/v1/responses',
    { input: [{ role: 'user', content: [{ type: 'input_image', image_url: url, detail: 'low' }] }] },
    'input[0].content[0]',
    [{ type: 'image_url', image_url: { url, detail: 'low' } }],
  ],
];

describe('an image', () => {
  it.each(cases)('%s: goes to a model that sees as OpenAI has it: %j', async (path, body, _, content) => {
    const { status, text } = await ask(path, body, [choiceOf('blind', false), choiceOf('x', true)]);
    expect(status, text).toBe(200);
    const { messages } = seen[0] as { messages: { role: string; content: unknown }[] };
    expect(messages.at(-1)).toEqual({ role: 'user', content });
  });

  it.each(cases)('%s: is refused by where it is when no model sees, and none is woken: %j', async (path, body, at) => {
    const { status, text } = await ask(path, body, [choiceOf('x', false)]);
    expect([status, text]).toEqual([400, expect.stringContaining(`${at} is an image, and x takes only text`)]);
    expect([seen.length, door?.world.leases]).toEqual([0, 0]);
  });

  it('of a tool is shown after what the tool says', async () => {
    const turns = [{ role: 'user', content: 'Look.' }, called, { role: 'user', content: [result] }];
    await ask('/v1/messages', { max_tokens: 5, messages: turns }, [choiceOf('x', true)]);
    expect((seen[0]?.messages as object[]).slice(2)).toEqual([
      { role: 'tool', tool_call_id: 't', content: 'Here:' },
      { role: 'user', content: [shown] },
    ]);
  });

  const anthropic = (source: object) => ({ max_tokens: 5, ...user([{ type: 'image', source }]) });
  it.each([
    ['/api/chat', { messages: [{ role: 'user', images: ['AAAA'] }] }, 'messages[0].images[0]'],
    ['/api/chat', { messages: [{ role: 'user', images: [`${png}*`] }] }, 'messages[0].images[0]'],
    ['/api/chat', { messages: [{ role: 'assistant', content: 'x', images: [png] }] }, 'messages[0].images'],
    ['/api/generate', { prompt: 'x', raw: true, images: [png] }, 'images'],
    ['/v1/messages', anthropic({ type: 'file', file_id: 'f' }), 'messages[0].content[0].source.type'],
    ['/v1/messages', anthropic({ type: 'url', url: 'file:///etc/passwd' }), 'messages[0].content[0].source.url'],
    [
      '/v1/messages',
      anthropic({ type: 'base64', media_type: 'image/tiff', data: png }),
      'messages[0].content[0].source.media_type',
    ],
    [
      '/v1/messages',
      { max_tokens: 5, messages: [{ role: 'assistant', content: [anthropicImage] }] },
      'messages[0].content[0]',
    ],
    [
      '/v1/responses',
      { input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'f' }] }] },
      'input[0].content[0].file_id',
    ],
    [
      '/v1/responses',
      { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'file:///x' }] }] },
      'input[0].content[0].image_url',
    ],
  ])('%s: that cannot be shown is refused by name, to one that sees too: %j', async (path, body, at) => {
    const { status, text } = await ask(path, body, [choiceOf('x', true)]);
    expect([status, text]).toEqual([400, expect.stringContaining(at)]);
    expect(seen).toEqual([]);
  });
});
