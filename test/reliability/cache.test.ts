import { once } from 'node:events';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { createAnswerCache } from '#edge/cache/answers';
import type { AnswerCache } from '#edge/cache/answers';
import { openDoor } from '#edge/door.fake';
import type { Asking, OpenDoor } from '#edge/door.fake';
import { fakeClock } from '#kernel/clock.fake';

const settings = { memory: 8 * 2 ** 20, age: 3_600_000, shared: false };

interface Asked {
  readonly body: Record<string, unknown>;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
}

let door: OpenDoor;
let cache: AnswerCache;
let asked: Asked[];
afterEach(() => door.close());

/** A door with a cache before an engine that answers what it was asked, or what `answer` says. */
async function open(answer: (one: Asked) => void = echo, more = {}) {
  asked = [];
  const engine: RequestListener = (req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const one = { body: JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>, req, res };
      asked.push(one);
      answer(one);
    });
  };
  const version = { of: '' };
  cache = createAnswerCache({
    clock: fakeClock(),
    settings: () => ({ ...settings, ...more }),
    version: () => version.of,
  });
  const limits = { body: 100_000, headerTimeout: 1_000, keepAlive: 1_000, connections: 2_000 };
  const heads = { headers: 16_384, headerCount: 100, url: 4_096, bodyTimeout: 4_000, bodyRate: 100 };
  door = await openDoor(engine, { answers: cache, limits: () => ({ ...limits, ...heads }) });
  return version;
}

const sent = (one: Asked, text: string, type = 'application/json') =>
  one.res.writeHead(200, { 'content-type': type }).end(text);
const events = (text: string) => `data: ${text}\n\ndata: [DONE]\n\n`;

/** Its own question, with how many were asked before: no two answers are alike. */
function echo(one: Asked): void {
  const text = JSON.stringify({ asked: one.body, at: asked.length });
  if (one.body.stream === true) sent(one, events(text), 'text/event-stream');
  else sent(one, text);
}

const question = { model: 'x', temperature: 0, messages: [{ role: 'user', content: 'hi' }] };
const chat = (body: object = question, asking: Asking = {}) =>
  door.ask('/v1/chat/completions', { method: 'POST', body: JSON.stringify(body), ...asking });
const kindOf = (answer: { readonly headers: Readonly<Record<string, unknown>> }) =>
  String(answer.headers['cache-status']).replace(/; ttl=.*/, '');

describe('R24 cache-isolation', () => {
  it('R24 cache-isolation: the same is answered once, and then without a lease', async () => {
    await open();
    const first = await chat();
    expect(kindOf(first)).toBe('sutaz; fwd=uri-miss');
    door.world.hold();
    const second = await chat({ messages: question.messages, temperature: 0, model: 'x' });
    expect(kindOf(second)).toBe('sutaz; hit');
    expect(second.text).toBe(first.text);
    expect(door.world.waiting.size).toBe(0);
    expect(asked).toHaveLength(1);
  });

  it('R24 cache-isolation: no hit across caller, model, version, parameters, prompt, path or stream flag', async () => {
    const version = await open();
    const others: (() => Promise<unknown>)[] = [
      () => chat(),
      () => chat(question, { key: 'sutaz-use' }),
      () => chat({ ...question, temperature: 1, seed: 1 }),
      () => chat({ ...question, seed: 1 }),
      () => chat({ ...question, max_tokens: 1 }),
      () => chat({ ...question, stream: true }),
      () => chat({ ...question, stream: true, stream_options: { include_usage: true } }),
      () => chat({ ...question, messages: [{ role: 'user', content: 'hi ' }] }),
      () => chat({ ...question, messages: [{ role: 'system', content: 'hi' }] }),
      () => chat({ ...question, tools: [{ type: 'function', function: { name: 'f' } }] }),
      () => door.ask('/v1/completions', { method: 'POST', body: JSON.stringify({ ...question, prompt: 'hi' }) }),
      () => door.ask('/v1/embeddings', { method: 'POST', body: '{"model":"x","input":"hi"}' }),
      () => ((version.of = 'another file'), chat()),
    ];
    for (const [index, ask] of others.entries()) {
      await ask();
      expect(asked).toHaveLength(index + 1);
    }
  });

  it('R24 cache-isolation: whatever is asked in whatever order, an answer is to the question that was asked', async () => {
    await open();
    const small = fc.record({
      temperature: fc.constantFrom(0, 1),
      seed: fc.constantFrom(1, 2, undefined),
      stream: fc.boolean(),
      max_tokens: fc.constantFrom(1, 2),
      key: fc.constantFrom('sutaz-admin', 'sutaz-use'),
    });
    const names = (text: string) => JSON.parse(text.replace(/^data: /, '').split('\n')[0] ?? '') as { asked: object };
    const byPrincipal = new Map<string, string>();
    await fc.assert(
      fc.asyncProperty(fc.array(small, { minLength: 1, maxLength: 12 }), async (all) => {
        await Promise.all(
          all.map(async ({ key, ...parameters }) => {
            const body = JSON.parse(JSON.stringify({ ...question, ...parameters })) as object;
            const { text } = await chat(body, { key });
            expect(names(text).asked).toEqual(body);
            const owner = byPrincipal.get(text) ?? key;
            byPrincipal.set(text, owner);
            expect(owner).toBe(key);
          }),
        );
      }),
      { numRuns: 40 },
    );
  });

  it('R24 cache-isolation: 500 who ask the same at once are one call', async () => {
    await open(() => undefined);
    const all = Array.from({ length: 500 }, () => chat());
    await expect.poll(() => asked.length).toBe(1);
    await expect.poll(() => door.world.leases).toBe(1);
    await expect.poll(() => waitingFor()).toBe(500);
    echo(asked[0] as Asked);
    const answers = await Promise.all(all);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers.map(kindOf).filter((one) => one === 'sutaz; fwd=uri-miss; collapsed')).toHaveLength(499);
    expect(asked).toHaveLength(1);
    await expect.poll(() => door.world.leases).toBe(0);
  });

  it('R24 cache-isolation: who asked first leaves, in the middle of a stream, and the others get all of it', async () => {
    await open((one) => {
      one.res.writeHead(200, { 'content-type': 'text/event-stream' });
      one.res.write('data: {"n":1}\n\n');
    });
    const stream = { ...question, stream: true };
    const left = new AbortController();
    const first = chat(stream, { signal: left.signal }).catch(() => 'left');
    await expect.poll(() => asked.length).toBe(1);
    const others = [chat(stream), chat(stream)];
    await expect.poll(() => waitingFor()).toBe(3);
    left.abort();
    expect(await first).toBe('left');
    await expect.poll(() => door.world.leases).toBe(1);
    asked[0]?.res.end('data: {"n":2}\n\ndata: [DONE]\n\n');
    for (const { text } of await Promise.all(others)) {
      expect(text).toBe('data: {"n":1}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n');
    }
    expect(asked).toHaveLength(1);
  });

  it('R24 cache-isolation: when all have left the engine is told, and who comes then is asked for anew', async () => {
    await open(() => undefined);
    const left = new AbortController();
    const all = [1, 2, 3].map(() => chat(question, { signal: left.signal }).catch(() => 'left'));
    await expect.poll(() => waitingFor()).toBe(3);
    await expect.poll(() => asked.length).toBe(1);
    const closed = once((asked[0] as Asked).res, 'close');
    left.abort();
    await Promise.all([...all, closed]);
    await expect.poll(() => door.world.leases).toBe(0);
    const next = chat();
    await expect.poll(() => asked.length).toBe(2);
    echo(asked[1] as Asked);
    expect(await next).toMatchObject({ status: 200 });
  });

  it.each([
    ['an error', (one: Asked) => void one.res.writeHead(500).end('{"error":{"message":"no"}}')],
    ['a refusal', (one: Asked) => void one.res.writeHead(400).end('{"error":{"message":"no"}}')],
    ['an error that is called a success', (one: Asked) => void sent(one, '{"error":{"message":"no"}}')],
    ['half an object', (one: Asked) => void sent(one, '{"choices":[')],
    ['a connection that breaks', (one: Asked) => void one.res.destroy()],
  ])('R24 cache-isolation: %s is told to all who wait, and not kept', async (_, fails) => {
    await open(() => undefined);
    const all = [1, 2, 3].map(() => chat().then(({ status, text }) => `${status} ${text.replace(/[0-9a-f]{32}/, '')}`));
    await expect.poll(() => waitingFor()).toBe(3);
    await expect.poll(() => asked.length).toBe(1);
    fails(asked[0] as Asked);
    expect(new Set(await Promise.all(all)).size).toBe(1);
    const next = chat();
    await expect.poll(() => asked.length).toBe(2);
    echo(asked[1] as Asked);
    expect(await next).toMatchObject({ status: 200 });
  });

  it.each([
    ['breaks off', (one: Asked) => void one.res.destroy()],
    ['ends without its last event', (one: Asked) => void one.res.end()],
    ['tells of an error', (one: Asked) => void one.res.end('data: {"error":{"message":"no"}}\n\ndata: [DONE]\n\n')],
  ])('R24 cache-isolation: a stream that %s is not kept', async (_, fails) => {
    await open((one) => {
      one.res.writeHead(200, { 'content-type': 'text/event-stream' });
      one.res.write('data: {"n":1}\n\n', () => fails(one));
    });
    for (const count of [1, 2]) {
      await chat({ ...question, stream: true }).catch(() => undefined);
      expect(asked).toHaveLength(count);
    }
  });

  it('R24 cache-isolation: what is forgotten while it is on its way is not kept', async () => {
    await open(() => undefined);
    const first = chat();
    await expect.poll(() => asked.length).toBe(1);
    cache.clear({ model: 'x' });
    const second = chat();
    await expect.poll(() => asked.length).toBe(2);
    for (const [index, one] of asked.entries()) sent(one, `{"n":${index}}`);
    const [before, after] = await Promise.all([first, second]);
    expect(before.text).not.toBe(after.text);
    expect((await chat()).text).toBe(after.text);
  });
});

/** Requests that the cache had no answer for. */
function waitingFor(): number {
  const { miss, collapsed } = cache.counts().dealt;
  return miss + collapsed;
}
