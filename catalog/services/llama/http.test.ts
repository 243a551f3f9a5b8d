import { once } from 'node:events';
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import OpenAI from 'openai';
import { describe, expect, it, vi } from 'vitest';
import { chat, chatBody, errorOf, headers, key, post, start } from './http.fake.ts';

/** A raw exchange, for a test that leaves in the middle of it. */
function open(url: string, body: object): ClientRequest {
  const request = httpRequest(url, { method: 'POST', headers });
  request.on('error', () => undefined);
  request.end(JSON.stringify(body));
  return request;
}

describe('door', () => {
  it('wants the key everywhere but for health', async () => {
    const { url } = await start();
    for (const authorization of ['', 'Bearer', 'Bearer wrong', `Basic ${key}`, `Bearer ${key}x`]) {
      const response = await fetch(`${url}/v1/models`, { headers: { authorization } });
      expect(response.status).toBe(401);
      expect(await errorOf(response)).toMatchObject({ code: 'invalid_api_key' });
    }
    expect((await fetch(`${url}/nowhere`)).status).toBe(401);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it('tells loading from ready', async () => {
    const running = await start({ loaded: false });
    running.host.progress(0.25);
    const loading = await fetch(`${running.url}/health`);
    expect([loading.status, await loading.json()]).toEqual([503, { status: 'loading', progress: 0.25 }]);
    const early = await chat(running);
    expect([early.status, early.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await errorOf(early)).toMatchObject({ code: 'model_loading' });
    running.host.ready(running.engine);
    const ready = await fetch(`${running.url}/health`);
    expect([ready.status, await ready.json()]).toEqual([200, { status: 'ok' }]);
  });

  it('answers for unknown paths, wrong methods, bad JSON and bodies that are too large', async () => {
    const running = await start();
    const { url } = running;
    expect(await errorOf(await fetch(`${url}/v1/none`, { headers }))).toMatchObject({ code: 'unknown_url' });
    expect((await fetch(`${url}/__proto__`, { headers })).status).toBe(404);
    const wrongMethod = await fetch(`${url}/v1/chat/completions`, { headers });
    expect([wrongMethod.status, wrongMethod.headers.get('allow')]).toEqual([405, 'POST']);
    const bad = await post(`${url}/v1/chat/completions`, '{"model": ');
    expect([bad.status, (await errorOf(bad))['code']]).toEqual([400, 'invalid_json']);
    const large = await chat(running, { user: 'x'.repeat(3000) });
    expect([large.status, (await errorOf(large))['code']]).toEqual([413, 'request_too_large']);
    const unknown = await chat(running, { temprature: 1 });
    expect([unknown.status, (await errorOf(unknown))['param']]).toEqual([400, 'temprature']);
  });

  it('refuses a body by its stated length without reading it', async () => {
    const { url } = await start();
    const request = httpRequest(`${url}/v1/completions`, {
      method: 'POST',
      headers: { ...headers, 'content-length': 9e9 },
    });
    request.on('error', () => undefined);
    request.flushHeaders();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(413);
    expect(response.headers.connection).toBe('close');
    request.destroy();
  });

  it('lists the one model, counts tokens and shows its state', async () => {
    const { url } = await start();
    const models = await (await fetch(`${url}/v1/models`, { headers })).json();
    expect(models).toEqual({
      object: 'list',
      data: [{ id: 'small', object: 'model', created: 1_700_000_000, owned_by: 'local' }],
    });
    expect(await (await post(`${url}/tokenize`, { content: 'ab' })).json()).toEqual({ tokens: [97, 98] });
    expect((await post(`${url}/tokenize`, { contents: 'ab' })).status).toBe(400);
    expect((await post(`${url}/tokenize`, {})).status).toBe(400);
    const stats = await (await fetch(`${url}/stats`, { headers })).json();
    expect(stats).toMatchObject({ phase: 'ready', context: 100, slots: { total: 2, busy: 0, waiting: 0 } });
  });
});

describe('answers', () => {
  it('gives a whole answer with its usage', async () => {
    const running = await start();
    const answer = chat(running);
    const run = await running.engine.nextRun();
    for (const text of ['Hel', 'lo', '!']) run.token(text);
    run.end();
    expect(await (await answer).json()).toEqual({
      id: 'chatcmpl-id1',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'small',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello!', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 'user:hello\n'.length,
        completion_tokens: 3,
        total_tokens: 14,
        prompt_tokens_details: { cached_tokens: 0 },
      },
    });
  });

  it('tells with each chunk how much it was so far, where that is asked for', async () => {
    const running = await start();
    const stream_options = { include_usage: true, continuous_usage_stats: true };
    const answer = chat(running, { stream: true, stream_options });
    const run = await running.engine.nextRun();
    run.token('a');
    run.token('b');
    run.end();
    const events = (await (await answer).text()).split('\n\n').filter((event) => event.startsWith('data: {'));
    const chunks = events.map((event) => JSON.parse(event.slice('data: '.length)) as { usage: unknown });
    const prompt = 'user:hello\n'.length;
    const usage = (completion: number) => ({
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
    });
    expect(chunks[0]).toMatchObject({ usage: usage(0) });
    // How many are told together is the client's pace; none is told before it is there.
    const counts = chunks.map((chunk) => (chunk.usage as { completion_tokens: number }).completion_tokens);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(chunks.at(-2)).toMatchObject({ usage: usage(2) });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: usage(2) });
  });

  it('streams as OpenAI does: role, text, reason, usage, end', async () => {
    const running = await start();
    const answer = chat(running, { stream: true, stream_options: { include_usage: true } });
    const run = await running.engine.nextRun();
    run.token('a');
    run.end();
    const response = await answer;
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const events = (await response.text()).split('\n\n').filter((event) => event !== '');
    expect(events.at(-1)).toBe('data: [DONE]');
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event.slice('data: '.length)) as object);
    const chunk = (delta: object, reason: string | null) => ({
      id: 'chatcmpl-id1',
      object: 'chat.completion.chunk',
      created: 1_700_000_000,
      model: 'small',
      choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }],
      usage: null,
    });
    expect(chunks).toEqual([
      chunk({ role: 'assistant', content: '' }, null),
      chunk({ content: 'a' }, null),
      chunk({}, 'stop'),
      expect.objectContaining({ choices: [], usage: expect.objectContaining({ completion_tokens: 1 }) as object }),
    ]);
  });

  it('is understood by the openai client, errors included', async () => {
    const running = await start();
    const client = new OpenAI({ apiKey: key, baseURL: `${running.url}/v1`, maxRetries: 0 });
    const stream = await client.chat.completions
      .create({ model: 'small', messages: [{ role: 'user', content: 'x' }], stream: true })
      .withResponse()
      .then(async ({ data }) => {
        const run = await running.engine.nextRun();
        run.token('one ');
        run.token('two');
        run.end();
        let text = '';
        for await (const part of data) text += part.choices[0]?.delta.content ?? '';
        return text;
      });
    expect(stream).toBe('one two');
    const vectors = await client.embeddings.create({ model: 'small', input: ['a', 'bb'] });
    expect(vectors.data.map(({ embedding }) => embedding.map((value) => value.toFixed(1)))).toEqual([
      ['0.6', '0.8'],
      ['0.6', '0.8'],
    ]);
    expect(vectors.usage.prompt_tokens).toBe(3);
    const long = client.chat.completions.create({ model: 's', messages: [{ role: 'user', content: 'x'.repeat(200) }] });
    await expect(long).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(long).rejects.toMatchObject({ code: 'context_length_exceeded', param: 'messages' });
  });

  it('stops at a stop string, at max_tokens, and when the context is full', async () => {
    const running = await start({ contextTokens: 14 });
    const finish = async (extra: object, tokens: readonly string[]) => {
      const answer = chat(running, extra);
      const run = await running.engine.nextRun();
      for (const token of tokens) run.token(token);
      const { choices } = (await (await answer).json()) as {
        choices: { message: { content: string }; finish_reason: string }[];
      };
      return [choices[0]?.message.content, choices[0]?.finish_reason];
    };
    expect(await finish({ stop: 'END' }, ['a', 'EN', 'Dx'])).toEqual(['a', 'stop']);
    expect(await finish({ max_tokens: 2 }, ['a', 'b'])).toEqual(['ab', 'length']);
    // 11 tokens of prompt leave room for 3.
    expect(await finish({ max_tokens: 50 }, ['a', 'b', 'E', 'never'])).toEqual(['abE', 'length']);
    expect(await finish({}, ['ok<e', 'nd>'])).toEqual(['ok', 'stop']);
  });

  it('ends JSON with its closing brace', async () => {
    const running = await start();
    const answer = chat(running, { response_format: { type: 'json_object' } });
    const run = await running.engine.nextRun();
    run.token('{"a": ');
    run.token('{}}\n\n');
    const { choices } = (await (await answer).json()) as { choices: { message: { content: string } }[] };
    expect(choices[0]?.message.content).toBe('{"a": {}}');
  });

  it('names both numbers when a prompt does not fit', async () => {
    const running = await start({ contextTokens: 11 });
    const response = await chat(running);
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toEqual({
      message:
        "This model's maximum context length is 11 tokens. However, your messages resulted in 11 tokens. " +
        'Please reduce the length of the messages.',
      type: 'invalid_request_error',
      param: 'messages',
      code: 'context_length_exceeded',
    });
  });

  const long = 'x'.repeat(600);
  const asked = { role: 'user', content: '' };
  const call = { id: 'a', type: 'function', function: { name: 'f', arguments: JSON.stringify({ text: long }) } };
  it.each([
    ['a description', { tools: [{ type: 'function', function: { name: 'f', description: long } }] }],
    [
      'a schema',
      { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', title: long } } }] },
    ],
    [
      'an earlier call',
      {
        messages: [asked, { role: 'assistant', tool_calls: [call] }, { role: 'tool', tool_call_id: 'a', content: '' }],
      },
    ],
  ])('regression: %s too long for the context was rendered before it was refused', async (_, extra) => {
    const running = await start({ contextTokens: 1 });
    const render = vi.spyOn(running.engine, 'renderChat');
    for (const path of ['/v1/chat/completions', '/tokenize']) {
      const body = { messages: [asked], ...extra };
      const response = await post(running.url + path, path === '/tokenize' ? body : { model: 'm', ...body });
      expect(await errorOf(response)).toMatchObject({ param: 'messages', code: 'context_length_exceeded' });
    }
    expect(render).not.toHaveBeenCalled();
  });

  it('answers plain completions and refuses tokens the model does not have', async () => {
    const running = await start();
    const answer = post(`${running.url}/v1/completions`, { model: 'm', prompt: 'ab' });
    const run = await running.engine.nextRun();
    run.token('c');
    run.end();
    expect(await (await answer).json()).toMatchObject({
      object: 'text_completion',
      choices: [{ text: 'c', finish_reason: 'stop' }],
      usage: { prompt_tokens: 2, completion_tokens: 1 },
    });
    const wrong = await post(`${running.url}/v1/completions`, { model: 'm', prompt: [0x11_0000] });
    expect(await errorOf(wrong)).toMatchObject({ param: 'prompt' });
  });
});

describe('failures and leaving', () => {
  it('tells a failure in the middle of a stream, without an end mark, and cuts the connection', async () => {
    const running = await start();
    const response = await new Promise<IncomingMessage>((resolve) => {
      open(`${running.url}/v1/chat/completions`, { ...chatBody, stream: true }).on('response', resolve);
      void running.engine.nextRun().then((run) => {
        run.token('half');
        run.fail(new Error('decode failed at /secret/path'));
      });
    });
    let text = '';
    response.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await new Promise<void>((resolve) => response.on('close', resolve));
    expect(response.complete).toBe(false);
    expect(text).toContain('half');
    expect(text).toMatch(/data: \{"error":\{.*"code":"engine_failed"\}\}\n\n$/);
    expect(text).not.toContain('[DONE]');
    expect(text).not.toContain('/secret/path');
    expect(running.logs).toContainEqual(expect.objectContaining({ event: 'stream-failed' }));
  });

  it('answers a failure before the first byte with a plain status', async () => {
    const running = await start();
    const answer = chat(running);
    (await running.engine.nextRun()).fail(new Error('broken'));
    expect((await answer).status).toBe(500);
    expect(await (await fetch(`${running.url}/stats`, { headers })).json()).toMatchObject({ slots: { busy: 0 } });
  });

  it.each([true, false])('frees the slot when the client leaves (stream: %s)', async (stream) => {
    const running = await start({ slots: 1 });
    const freed = running.logged('generation');
    const leaving = open(`${running.url}/v1/chat/completions`, { ...chatBody, stream });
    const run = await running.engine.nextRun();
    run.token('a');
    leaving.destroy();
    const fields = await freed;
    expect(run.signal.aborted).toBe(true);
    expect(fields).toMatchObject({ outcome: 'left' });
    expect(fields['freedMs']).toBeTypeOf('number');
    expect(running.engine.finished()).toBe(1);
    const next = chat(running);
    const second = await running.engine.nextRun();
    second.end();
    expect((await next).status).toBe(200);
  });

  it('never begins for a client that left while waiting for a slot', async () => {
    const running = await start({ slots: 1 });
    const first = chat(running);
    const run = await running.engine.nextRun();
    const left = running.logged('generation');
    const waiting = open(`${running.url}/v1/chat/completions`, { ...chatBody, user: 'waiting' });
    await expect
      .poll(async () => await (await fetch(`${running.url}/stats`, { headers })).json())
      .toMatchObject({ slots: { busy: 1, waiting: 1 } });
    waiting.destroy();
    expect(await left).toMatchObject({ outcome: 'left' });
    run.end();
    await first;
    expect(running.engine.finished()).toBe(1);
    expect(await (await fetch(`${running.url}/stats`, { headers })).json()).toMatchObject({
      slots: { busy: 0, waiting: 0 },
    });
  });

  it('never logs what was asked or answered', async () => {
    const running = await start();
    const answer = chat(running, { messages: [{ role: 'user', content: 'PRIVATE question' }] });
    const run = await running.engine.nextRun();
    run.token('PRIVATE answer');
    run.end();
    await answer;
    await chat(running, { temprature: 'PRIVATE' });
    await post(`${running.url}/v1/chat/completions`, '{"PRIVATE": ');
    expect(running.logs.length).toBeGreaterThan(0);
    expect(JSON.stringify(running.logs)).not.toMatch(/PRIVATE|sk-secret/);
  });
});

describe('shutting down', () => {
  it('finishes what is in flight, refuses what waits and what comes', async () => {
    const running = await start({ slots: 1 });
    const first = chat(running);
    const run = await running.engine.nextRun();
    const second = chat(running);
    await expect
      .poll(async () => await (await fetch(`${running.url}/stats`, { headers })).json())
      .toMatchObject({ slots: { waiting: 1 } });
    const drained = running.host.drain(new AbortController().signal);
    expect((await second).status).toBe(503);
    run.token('whole');
    run.end();
    expect((await first).status).toBe(200);
    await drained;
    await expect(fetch(`${running.url}/health`)).rejects.toThrow();
  });

  it('cuts what takes too long, and says so in the stream', async () => {
    const running = await start();
    const answer = await new Promise<IncomingMessage>((resolve) => {
      open(`${running.url}/v1/chat/completions`, { ...chatBody, stream: true }).on('response', resolve);
    });
    let text = '';
    answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const closed = new Promise((resolve) => answer.on('close', resolve));
    const deadline = new AbortController();
    const drained = running.host.drain(deadline.signal);
    deadline.abort();
    await drained;
    await closed;
    expect(text).toContain('"code":"shutting_down"');
    expect(text).not.toContain('[DONE]');
  });
});
