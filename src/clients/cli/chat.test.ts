import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Fault } from '#kernel/faults';
import { fakePlatform, json, stream } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const path = 'POST /v1/chat/completions';
const chunk = (content: string, more: object = {}) =>
  `data: ${JSON.stringify({ model: 'smollm2:135m', choices: [{ delta: { content } }], ...more })}\n\n`;
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const last = `data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`;
const asksOf = () =>
  platform.asked.map(({ body }) => body as { model: string; messages: { role: string; content: string }[] });

describe('one question', () => {
  test('the answer goes to stdout as it comes, the wake to stderr', async () => {
    platform.routes[path] = stream(
      ': {"phase":"starting","estimateMs":4000}\n\n: keep-alive\n\n',
      ': {"state":"queued","phase":"queued","position":1}\n\n',
      chunk('Hello'),
      chunk(' world'),
      last,
    );
    const ran = await platform.run(['chat', 'Say', 'hello.', '--system', 'Be brief.', '-m', 'smol']);
    expect(ran).toEqual({
      code: 0,
      out: 'Hello world\n',
      err: 'smol: starting, about 4 s\nsmol: queued, place 1 in the queue\n',
    });
    expect(asksOf()).toEqual([
      {
        model: 'smol',
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'Say hello.' },
        ],
        stream: true,
        stream_options: { include_usage: true },
      },
    ]);
  });

  test('--json says text, usage and model, once', async () => {
    platform.routes[path] = stream(chunk('Hel'), chunk('lo'), last);
    const { out } = await platform.run(['chat', '--json', 'x']);
    expect(JSON.parse(out)).toEqual({ text: 'Hello', usage, model: 'smollm2:135m' });
  });

  test('the model: -m, else $SUTAZ_MODEL, else the default one', async () => {
    platform.routes[path] = stream(last);
    await platform.run(['chat', 'x']);
    const env = { SUTAZ_HOME: platform.home, SUTAZ_MODEL: 'mine' };
    await platform.run(['chat', 'x'], { io: { env } });
    await platform.run(['chat', '--model', 'other', 'x'], { io: { env } });
    expect(asksOf().map(({ model }) => model)).toEqual(['default', 'mine', 'other']);
  });

  test('the prompt may come from stdin, whole or in the place of -', async () => {
    platform.routes[path] = stream(last);
    const io = { readInput: () => Promise.resolve('a note\n') };
    await platform.run(['chat'], { io });
    await platform.run(['chat', 'Summarise:', '-'], { io });
    await platform.run(['chat', 'No stdin.'], { io: { readInput: () => Promise.reject(new Error('not to be read')) } });
    expect(asksOf().map(({ messages }) => messages[0]?.content)).toEqual([
      'a note',
      'Summarise: \na note',
      'No stdin.',
    ]);
  });

  test('control characters of a model reach a pipe, never a terminal', async () => {
    platform.routes[path] = stream(chunk('a\x1b]0;title\x07b\n'), last);
    expect((await platform.run(['chat', 'x'])).out).toBe('a\x1b]0;title\x07b\n');
    expect((await platform.run(['chat', 'x'], { io: { outTty: true } })).out).toBe('a]0;titleb\n');
  });

  test('says that the answer was cut off at the limit', async () => {
    const cut = chunk('long', { choices: [{ delta: { content: 'long' }, finish_reason: 'length' }] });
    platform.routes[path] = stream(cut, last);
    expect((await platform.run(['chat', 'x'])).err).toContain('limit of tokens');
  });
});

describe('what goes wrong', () => {
  test('an unknown model', async () => {
    const error = { message: 'No model is called smoll.', type: 'x', code: 'model_not_found', trace_id: 't' };
    platform.routes[path] = json({ error }, 404);
    expect(await platform.run(['chat', 'x'])).toEqual({
      code: 1,
      out: '',
      err: 'sutaz: No model is called smoll. (trace t)\n',
    });
  });

  test('an error inside the stream keeps what was said before it', async () => {
    platform.routes[path] = stream(
      chunk('Half'),
      'data: {"error":{"message":"The engine ended.","code":"upstream_failed"}}\n\n',
    );
    expect(await platform.run(['chat', 'x'])).toEqual({ code: 1, out: 'Half\n', err: 'sutaz: The engine ended.\n' });
  });

  test.each([
    ['ends without a word', [chunk('Half')], 'in the middle of the answer'],
    ['sends rubbish', ['data: <html>\n\n'], 'not part of an answer'],
  ])('a stream that %s is no answer', async (_, pieces, message) => {
    platform.routes[path] = stream(...pieces);
    const { code, err } = await platform.run(['chat', 'x']);
    expect(code).toBe(1);
    expect(err).toContain(message);
  });

  test('a connection that breaks', async () => {
    platform.routes[path] = (res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(chunk('Half'), () => res.destroy());
    };
    expect(await platform.run(['chat', 'x'])).toMatchObject({ code: 1, out: 'Half\n' });
  });

  test('Ctrl-C ends the request at the platform too: 130, without a word', async () => {
    const controller = new AbortController();
    const left = new Promise<void>((resolve) => {
      platform.routes[path] = (res) => {
        res.on('close', resolve);
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        res.write(chunk('Half'));
      };
    });
    let out = '';
    const onOut = (text: string) => {
      out += text;
      if (text === 'Half') controller.abort(new Fault('CANCELLED', 'Interrupted.'));
    };
    const ran = await platform.run(['chat', 'x'], { signal: controller.signal, io: { out: onOut } });
    await left;
    expect({ ...ran, out }).toEqual({ code: 130, out: 'Half\n', err: '' });
  });
});

describe('a conversation', () => {
  const talk = (...lines: readonly string[]) => {
    const left = [...lines];
    return platform.run(['chat'], { io: { inTty: true, prompt: () => () => Promise.resolve(left.shift() ?? null) } });
  };
  const contents = () => asksOf().map(({ messages }) => messages.map(({ content }) => content));

  test('remembers what was said, until /reset', async () => {
    platform.routes[path] = stream(chunk('Yes.'), last);
    expect((await talk('one', '', 'two', '/reset', 'three')).code).toBe(0);
    expect(contents()).toEqual([['one'], ['one', 'Yes.', 'two'], ['three']]);
  });

  test('goes on after an error, as if the question had not been asked', async () => {
    platform.routes[path] = json({ error: { message: 'No memory.', code: 'no_memory' } }, 503);
    const { code, err } = await talk('one', 'two', '/exit', 'never');
    expect(code).toBe(0);
    expect(err).toContain('No memory.');
    expect(contents()).toEqual([['one'], ['two']]);
  });

  test('is nothing for programs', async () => {
    expect((await platform.run(['chat', '--json'], { io: { inTty: true } })).code).toBe(2);
  });
});
