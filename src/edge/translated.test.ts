import type { RequestListener } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { ApiModel } from '#contracts/api';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { fakeModels, openDoor } from './door.fake.ts';
import type { Asking, OpenDoor } from './door.fake.ts';
import type { DoorDeps } from './door.ts';
import type { Manner } from './models.ts';

let door: OpenDoor;
afterEach(() => door.close());
const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
};

interface Seen {
  path: string;
  body: Record<string, unknown>;
  headers: Record<string, unknown>;
}
const seen: Seen[] = [];

/** An engine that answers in OpenAI's API, remembering what it was asked. */
const engine =
  (answer: RequestListener): RequestListener =>
  (req, res) => {
    let text = '';
    req.on('data', (chunk: Buffer) => (text += chunk.toString()));
    req.on('end', () => {
      seen.push({ path: req.url ?? '', body: JSON.parse(text) as Seen['body'], headers: req.headers });
      answer(req, res);
    });
  };
const chunkOf = (delta: object, finish_reason: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
const streams: RequestListener = (_, res) => {
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  res.write(chunkOf({ role: 'assistant', content: '' }));
  res.write(`${chunkOf({ content: 'Hel' })}${chunkOf({ content: 'lo' })}`.slice(0, 99));
  res.write(`${chunkOf({ content: 'Hel' })}${chunkOf({ content: 'lo' })}`.slice(99));
  res.end(
    `${chunkOf({}, 'stop')}data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n`,
  );
};
const whole: RequestListener = (_, res) => {
  const message = { role: 'assistant', content: 'Hello' };
  const usage = { prompt_tokens: 3, completion_tokens: 2 };
  res.writeHead(200, { 'content-type': 'application/json' });
  res.end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: 'stop' }], usage }));
};
const refuses: RequestListener = (_, res) => {
  res.writeHead(400, { 'content-type': 'application/json' });
  res.end('{"error": {"message": "too long", "code": "context_length_exceeded", "param": "messages"}}');
};
const breaks: RequestListener = (_, res) => {
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  res.write(chunkOf({ content: 'Hel' }));
  setImmediate(() => res.destroy());
};
const open = async (answer: RequestListener, more: Partial<DoorDeps> = {}) => {
  seen.length = 0;
  door = await openDoor(engine(answer), more);
  return door;
};

const messages = [{ role: 'user', content: 'hi' }];
const post = (body: object, more: Asking = {}): Asking => ({ method: 'POST', body: JSON.stringify(body), ...more });
const anthropic = (more: object = {}) => post({ model: 'x', max_tokens: 5, messages, ...more });
const ollama = (more: object = {}) => post({ model: 'x', messages, ...more });
const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const eventsOf = (text: string) => [...text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name);

describe('an API made of the engine’s own', () => {
  it('asks the engine in its own words and none of the client’s headers', async () => {
    await open(whole);
    door.world.key = 'engine-key';
    const headers = { 'anthropic-version': '2023-06-01', 'x-api-key': 'sutaz-use', 'accept-encoding': 'gzip' };
    const { text, status } = await door.ask('/v1/messages', { ...anthropic(), headers, key: null });
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({ type: 'message', content: [{ text: 'Hello' }], stop_reason: 'end_turn' });
    expect(seen[0]).toMatchObject({ path: '/v1/chat/completions', body: { model: 'x', max_tokens: 5, messages } });
    expect(seen[0]?.headers.authorization).toBe('Bearer engine-key');
    expect(Object.keys(seen[0]?.headers ?? {})).not.toContain('x-api-key');
    expect(seen[0]?.headers['accept-encoding']).toBeUndefined();
    expect(door.world.leases).toBe(0);
  });

  it('streams in each one’s form', async () => {
    await open(streams);
    const message = await door.ask('/v1/messages', anthropic({ stream: true }));
    expect(eventsOf(message.text)).toEqual([
      ...['message_start', 'content_block_start', 'content_block_delta', 'content_block_delta', 'content_block_stop'],
      ...['message_delta', 'message_stop'],
    ]);
    const chat = await door.ask('/api/chat', ollama());
    expect(chat.headers['content-type']).toBe('application/x-ndjson');
    expect(chat.headers['server-timing']).toMatch(/^queue;dur=/);
    expect(lines(chat.text).map(({ done }) => done)).toEqual([false, false, true]);
    expect(lines(chat.text).at(-1)).toMatchObject({ done_reason: 'stop', prompt_eval_count: 3, eval_count: 2 });
    const response = await door.ask('/v1/responses', post({ model: 'x', input: 'hi', stream: true }));
    expect(eventsOf(response.text).at(-1)).toBe('response.completed');
    const plain = await door.ask('/api/generate', post({ model: 'x', prompt: 'hi', stream: false }));
    expect(JSON.parse(plain.text)).toMatchObject({ response: 'Hello', done: true });
    expect(plain.headers['server-timing']).toMatch(/^queue;dur=/);
    expect(door.world.leases).toBe(0);
  });

  it('tells a waiting stream of the wake by what its clients pass over, or holds it', async () => {
    await open(streams);
    door.world.hold();
    const asked = door.ask('/v1/messages', anthropic({ stream: true }));
    const held = door.ask('/api/chat', ollama());
    await until(() => door.world.waiting.size === 2);
    door.clock.advance(2_000);
    door.world.wake();
    expect(eventsOf((await asked).text).slice(0, 3)).toEqual(['ping', 'ping', 'message_start']);
    expect(lines((await held).text)).toHaveLength(3);
  });

  it('tells a plain caller to come back when a wake takes too long', async () => {
    await open(whole);
    door.world.hold();
    const asked = door.ask('/v1/messages', anthropic());
    await until(() => door.world.waiting.size === 1);
    door.clock.advance(10_000);
    const { status, headers, text } = await asked;
    expect([status, headers['retry-after']]).toEqual([503, '5']);
    expect(JSON.parse(text)).toMatchObject({ type: 'error', error: { type: 'overloaded_error' } });
    expect(door.world.lingered).toEqual(['model/x']);
  });

  it('tells errors in each one’s shape: the door’s own and the engine’s', async () => {
    await open(refuses);
    const bad = await door.ask('/v1/messages', anthropic({ temprature: 1 }));
    expect([bad.status, JSON.parse(bad.text)]).toMatchObject([
      400,
      {
        type: 'error',
        error: { type: 'invalid_request_error', message: expect.stringContaining('Did you mean temperature?') },
      },
    ]);
    const unknown = await door.ask('/api/chat', ollama({ model: 'y:latest' }));
    expect([unknown.status, JSON.parse(unknown.text)]).toEqual([404, { error: 'No model is called y.' }]);
    const long = await door.ask('/v1/responses', post({ model: 'x', input: 'hi' }));
    expect([long.status, JSON.parse(long.text)]).toMatchObject([
      400,
      { error: { message: 'too long', code: 'context_length_exceeded', param: 'input', source: 'upstream' } },
    ]);
    const streamed = await door.ask('/api/chat', ollama());
    expect([streamed.status, JSON.parse(streamed.text)]).toEqual([400, { error: 'too long' }]);
    const none = await door.ask('/v1/rerank', post({ model: 'x', query: 'q', documents: ['a'] }));
    expect([none.status, JSON.parse(none.text)]).toMatchObject([
      501,
      { error: { code: 'not_supported', param: 'model' } },
    ]);
  });

  it.each([
    ['/v1/messages', anthropic({ stream: true }), /event: error\ndata: \{"type":"error"/],
    ['/api/chat', ollama(), /\n\{"error":"The (service|engine) broke off/],
    ['/v1/responses', post({ model: 'x', input: 'hi', stream: true }), /event: error\ndata: \{"type":"error"/],
  ])('%s: an engine that breaks off is told in the stream, which then breaks off too', async (path, asking, shape) => {
    await open(breaks);
    const controller = new AbortController();
    let text = '';
    const response = await fetch(`http://localhost:${door.port}${path}`, {
      ...{
        method: 'POST',
        body: String(asking.body),
        headers: { 'x-sutaz-key': 'sutaz-use' },
        signal: controller.signal,
      },
    });
    const reading = (async () => {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>)
        text += Buffer.from(chunk).toString();
    })();
    await expect(reading).rejects.toThrow();
    expect(text).toMatch(shape);
    expect(text).not.toContain('message_stop');
    await until(() => door.world.leases === 0);
  });

  it('leaves the engine when the client leaves', async () => {
    let left = false;
    await open((_, res) => {
      res.on('close', () => (left = true));
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(chunkOf({ content: 'Hel' }));
    });
    const controller = new AbortController();
    const asked = door.ask('/api/chat', { ...ollama(), signal: controller.signal });
    await until(() => seen.length === 1);
    controller.abort();
    await expect(asked).rejects.toThrow();
    await until(() => left && door.world.leases === 0);
  });

  it('slows the engine down for a reader that is slow', async () => {
    let written = 0;
    const piece = chunkOf({ content: 'x'.repeat(60_000) });
    await open((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      const go = () => {
        while (written < 2_000) {
          written++;
          if (!res.write(piece)) return void res.once('drain', go);
        }
        res.end('data: [DONE]\n\n');
      };
      go();
    });
    const response = await fetch(`http://localhost:${door.port}/api/chat`, {
      ...{ method: 'POST', body: String(ollama().body), headers: { 'x-sutaz-key': 'sutaz-use' } },
    });
    const reader = response.body?.getReader();
    await reader?.read();
    // What sockets hold is some megabytes: 120 of them would be a memory that fills.
    let [before, still] = [-1, 0];
    await until(() => {
      still = written === before ? still + 1 : 0;
      before = written;
      return still > 2_000 || written === 2_000;
    });
    expect(written).toBeLessThan(1_000);
    await reader?.cancel();
    await until(() => door.world.leases === 0);
  });
});

describe('what the configuration says of a model', () => {
  const openWith = async (manner: Manner) => {
    const choose = () => [{ unit: unitId('model', 'x'), id: 'x', provides: ['openai.chat'], manner }];
    await open(streams, { models: { ...fakeModels, choose, list: () => [{ id: 'x', context: 100 } as ApiModel] } });
  };

  it.each([
    ['/v1/messages', anthropic({ stream: true }), 'max_tokens is 5'],
    ['/v1/messages', anthropic(), 'max_tokens is 5'],
    ['/v1/responses', post({ model: 'x', input: 'hi', max_output_tokens: 5 }), 'max_output_tokens is 5'],
    ['/api/chat', ollama({ options: { num_predict: 5 } }), 'options.num_predict is 5'],
    ['/api/chat', ollama({ options: { num_ctx: 101 } }), 'options.num_ctx is 101'],
  ])('%s: over a limit it is refused in the client’s words, and nothing is woken', async (path, asking, message) => {
    await openWith({ limits: { max_tokens: 4 } });
    door.world.hold();
    const { status, text } = await door.ask(path, asking);
    expect([status, text]).toEqual([400, expect.stringContaining(message)]);
    expect([seen.length, door.world.waiting.size]).toEqual([0, 0]);
  });

  it('goes before what Ollama takes where a request says nothing', async () => {
    await openWith({ defaults: { temperature: 0.2 }, limits: { max_tokens: 4 } });
    await door.ask('/api/chat', ollama());
    expect(seen[0]?.body).toMatchObject({ temperature: 0.2, top_p: 0.9, max_tokens: 4 });
    await door.ask('/api/generate', post({ model: 'x', prompt: 'hi', raw: true, options: { temperature: 1 } }));
    expect(seen[1]?.body).toMatchObject({ temperature: 1, max_tokens: 4 });
  });
});

it('a count of tokens leaves tools out where none may be called', async () => {
  const provides = ['openai.chat', 'tokenize'];
  const choose = () => [{ unit: unitId('model', 'x'), id: 'x', provides, manner: null }];
  await open((_, res) => res.end('{"tokens":[1,2,3]}'), { models: { ...fakeModels, choose } });
  const tools = [{ name: 'f', input_schema: { type: 'object' } }];
  for (const type of ['none', 'auto']) {
    const asking = post({ model: 'x', messages, tools, tool_choice: { type } });
    expect(JSON.parse((await door.ask('/v1/messages/count_tokens', asking)).text)).toEqual({ input_tokens: 3 });
  }
  expect(seen.map(({ path, body }) => [path, 'tools' in body])).toEqual([
    ['/tokenize', false],
    ['/tokenize', true],
  ]);
});

describe('several models for one name', () => {
  it('are asked in turn when one cannot be brought up, each with its own manner', async () => {
    const choice = (id: string, prompt: string) => ({
      ...{ unit: unitId('model', id), id, provides: ['openai.chat'], manner: { prompt } },
    });
    const choices = [choice('a', 'one'), choice('b', 'two')];
    await open(whole, { models: { ...fakeModels, choose: () => choices } });
    const { wake } = door.world.waker;
    const tried: string[] = [];
    Object.assign(door.world.waker, {
      wake: (...[unit, caller]: Parameters<typeof wake>) => {
        tried.push(unit);
        if (unit === 'model/a') return Promise.reject(new Fault('START_FAILED', 'broken'));
        return wake(unit, caller);
      },
    });
    const { status } = await door.ask('/v1/chat/completions', post({ model: 'small', messages }));
    expect([status, tried]).toEqual([200, ['model/a', 'model/b']]);
    expect(seen[0]?.body).toEqual({ model: 'b', messages: [{ role: 'system', content: 'two' }, ...messages] });
    await door.ask('/v1/messages', anthropic({ model: 'small' }));
    expect(seen[1]?.body).toMatchObject({ model: 'b' });
  });
});
