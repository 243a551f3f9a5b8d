import { describe, expect, it, vi } from 'vitest';
import { createClient } from './client.ts';
import { asProblem } from './problem.ts';

const sse = (text: string) => new Response(text, { headers: { 'content-type': 'text/event-stream' } });

/** A platform that gives one answer, and what was asked of it. */
function platform(answer: () => Response) {
  const calls: { url: string; init: RequestInit }[] = [];
  const onSignedOut = vi.fn();
  const fetch = async (url: string | URL | Request, init: RequestInit = {}) => {
    calls.push({ url: String(url), init });
    return answer();
  };
  return { client: createClient({ fetch, onSignedOut }), calls, onSignedOut };
}
const anySignal = new AbortController().signal;

describe('createClient', () => {
  it('marks every request as the console, and encodes the unit into one segment', async () => {
    const { client, calls } = platform(() => Response.json({}, { status: 202 }));
    await client.act('model/smollm2:135m', 'start');
    expect(calls[0]?.url).toBe('/sutaz/v1/units/model%2Fsmollm2%3A135m/start');
    expect(calls[0]?.init).toMatchObject({ method: 'POST', credentials: 'same-origin' });
    expect(new Headers(calls[0]?.init.headers).get('x-sutaz-console')).toBe('1');
  });

  it('turns problem+json into a problem with its code and trace', async () => {
    const body = { title: 'No memory', detail: 'Needs 5 GiB.', code: 'NO_MEMORY', status: 503, traceId: 't1' };
    const { client } = platform(() => Response.json(body, { status: 503 }));
    await expect(client.act('model/a', 'start')).rejects.toMatchObject({
      message: 'Needs 5 GiB.',
      status: 503,
      code: 'NO_MEMORY',
      traceId: 't1',
    });
  });

  it('tells when the session is over', async () => {
    const { client, onSignedOut } = platform(() => new Response('', { status: 401 }));
    await expect(client.state()).rejects.toMatchObject({ status: 401 });
    expect(onSignedOut).toHaveBeenCalledOnce();
  });

  it('reads the event stream: state, unit, ledger, log, and what it does not know as a sign of life', async () => {
    const { client } = platform(() =>
      sse(
        [
          'event: state\ndata: {"units":[{"id":"service/a"}]}',
          ': keep-alive',
          'event: unit\ndata: {"id":"service/a","state":"ready"}',
          'event: ledger\ndata: {"limitBytes":5}',
          'event: log\ndata: {"at":"x","type":"started","message":"m"}',
          'event: novelty\ndata: {}',
          '',
        ].join('\n\n'),
      ),
    );
    const events = await Array.fromAsync(client.events(anySignal));
    expect(events.map((event) => event.type)).toEqual(['state', 'alive', 'unit', 'ledger', 'log', 'alive']);
    expect(events[3]).toMatchObject({ ledger: { limitBytes: 5 } });
  });

  it('refuses a stream that is not one, and data that is broken', async () => {
    const page = platform(() => new Response('<html>', { headers: { 'content-type': 'text/html' } }));
    await expect(Array.fromAsync(page.client.events(anySignal))).rejects.toMatchObject({ code: 'BAD_ANSWER' });
    const broken = platform(() => sse('event: state\ndata: {"units":\n\n'));
    await expect(Array.fromAsync(broken.client.events(anySignal))).rejects.toMatchObject({ code: 'BAD_ANSWER' });
  });

  it('lists the models by id', async () => {
    const { client } = platform(() => Response.json({ object: 'list', data: [{ id: 'a' }, {}, { id: 'b' }] }));
    expect(await client.models()).toEqual(['a', 'b']);
  });
});

describe('chat', () => {
  const request = { model: 'default', messages: [{ role: 'user', content: 'hi' }] } as const;
  const ask = (stream: string) => Array.fromAsync(platform(() => sse(stream)).client.chat(request, anySignal));

  it('gives progress, text, the reason of the end and the usage, in order', async () => {
    const events = await ask(
      [
        ': {"phase":"starting","position":1,"percent":40,"estimateMs":3000}',
        ': keep-alive',
        'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}',
        'data: {"choices":[{"delta":{"content":"Hel"}}]}',
        'data: {"choices":[{"delta":{"content":"lo"},"finish_reason":"stop"}]}',
        'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
        'data: [DONE]\n\n',
      ].join('\n\n'),
    );
    expect(events).toEqual([
      { type: 'waiting', progress: { phase: 'starting', position: 1, percent: 40, estimateMs: 3000 } },
      { type: 'text', delta: 'Hel' },
      { type: 'text', delta: 'lo' },
      { type: 'finish', reason: 'stop' },
      { type: 'usage', usage: { promptTokens: 3, completionTokens: 2 } },
    ]);
  });

  it('asks for a stream with usage', async () => {
    const { client, calls } = platform(() => sse('data: [DONE]\n\n'));
    await Array.fromAsync(client.chat(request, anySignal));
    expect(JSON.parse(String(calls[0]?.init.body))).toEqual({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it('throws the error that comes inside the stream', async () => {
    const stream =
      'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"error":{"message":"gone","code":"UPSTREAM_FAILED"}}\n\n';
    await expect(ask(stream)).rejects.toMatchObject({ message: 'gone', code: 'UPSTREAM_FAILED' });
  });

  it('does not take an answer that broke off for a whole one', async () => {
    await expect(ask('data: {"choices":[{"delta":{"content":"a"}}]}\n\n')).rejects.toMatchObject({ code: 'CUT_OFF' });
  });
});

it('explains a failed fetch in words that help', () => {
  expect(asProblem(new TypeError('Failed to fetch'))).toMatchObject({ status: 0, code: 'UNREACHABLE' });
});
