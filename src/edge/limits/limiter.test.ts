import { afterEach, describe, expect, it } from 'vitest';
import { configSchema } from '#config/static';
import { parseStrict } from '#config/strict';
import { fakeClock } from '#kernel/clock.fake';
import { fakeModels, openDoor } from '../door.fake.ts';
import type { OpenDoor } from '../door.fake.ts';
import type { DoorDeps } from '../door.ts';
import type { KeptAccount } from './accounts.ts';
import { idlePatterns } from './check.ts';
import { continuousUsage, createLimiter } from './limiter.ts';
import { compileRules } from './rules.ts';

let door: OpenDoor | undefined;
afterEach(() => {
  door?.close();
  door = undefined;
});

/** Rules as they are written in sutaz.yaml. */
export function rulesOf(...lines: readonly string[]) {
  const text = `limits: { rules: [${lines.join(', ')}] }`;
  const parsed = parseStrict(text, 'sutaz.yaml', configSchema);
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join());
  return parsed.value.limits.rules;
}

const compiled = (...lines: readonly string[]) => compileRules(rulesOf(...lines), (id) => [id]);

function limiterOf(lines: readonly string[], kept = new Map<string, KeptAccount>(), clock = fakeClock()) {
  const refusals: (readonly string[])[] = [];
  const limiter = createLimiter({
    clock,
    kept: new Map(kept),
    refused: { add: (labels) => void refusals.push(labels) },
  });
  limiter.follow(compiled(...lines));
  return { limiter, clock, refusals };
}

type Service = Parameters<typeof openDoor>[0];

const answering =
  (body: string, type = 'application/json'): Service =>
  (req, res) => {
    req.resume();
    req.on('end', () => res.writeHead(200, { 'content-type': type }).end(body));
  };

async function limited(lines: readonly string[], service: Service = answering('{}'), more: Partial<DoorDeps> = {}) {
  const { limiter, clock, refusals } = limiterOf(lines);
  door = await openDoor(service, { limiter, ...more });
  return { limiter, clock, refusals, door };
}

const chat = (more: object = {}) => ({
  method: 'POST',
  body: JSON.stringify({ model: 'x', messages: [{ role: 'user', content: 'Hi' }], ...more }),
});
const statuses = (answers: readonly { readonly status: number }[]) => answers.map(({ status }) => status);
const usage = '{"prompt_tokens":11,"completion_tokens":4,"total_tokens":15}';

const day = 86_400_000;

const used = (limiter: { accounts(): Iterable<{ gauges: readonly { meter: { used(now: number): number } }[] }> }) =>
  [...limiter.accounts()].flatMap(({ gauges }) => gauges.map(({ meter }) => meter.used(0)));

describe('a limited door', () => {
  it('answers 429 in the shape of each API, with how long to wait and what the limit is', async () => {
    const { door } = await limited(['{ name: all, requests: 1/minute }']);
    expect(statuses([await door.ask('/services/x/')])).toEqual([200]);
    const openai = await door.ask('/v1/chat/completions', chat());
    expect(openai.status).toBe(429);
    expect(openai.headers).toMatchObject({
      'retry-after': '60',
      'ratelimit-policy': '"all-requests-minute";q=1;w=60',
      ratelimit: '"all-requests-minute";r=0;t=60',
    });
    expect(JSON.parse(openai.text)).toMatchObject({
      error: {
        message: 'The limit all allows 1 requests a minute: ask again in 60 s.',
        type: 'rate_limit_error',
        code: 'rate_limit_exceeded',
      },
    });
    const anthropic = await door.ask('/v1/messages', chat({ max_tokens: 1 }));
    expect(JSON.parse(anthropic.text)).toMatchObject({ type: 'error', error: { type: 'rate_limit_error' } });
    const ollama = await door.ask('/api/chat', chat());
    expect([ollama.status, JSON.parse(ollama.text)]).toEqual([
      429,
      { error: 'The limit all allows 1 requests a minute: ask again in 60 s.' },
    ]);
    const problem = await door.ask('/services/x/');
    expect(JSON.parse(problem.text)).toMatchObject({ code: 'RATE_LIMITED', status: 429, retryAfter: 60, limit: 'all' });
  });

  it('tells what is left with every answer that a rule is about', async () => {
    const { door } = await limited(['{ requests: [2/second, 10/day] }', '{ concurrent: 3 }']);
    const { headers } = await door.ask('/services/x/');
    expect(headers['ratelimit-policy']).toBe(
      '"limit-1-requests-second";q=2;w=1, "limit-1-requests-day";q=10;w=86400, "limit-2-concurrent";q=3;qu="concurrent-requests"',
    );
    expect(headers.ratelimit).toBe(
      '"limit-1-requests-second";r=1;t=1, "limit-1-requests-day";r=9;t=86400, "limit-2-concurrent";r=2',
    );
    expect((await door.ask('/sutaz/v1/state')).headers.ratelimit).toBeUndefined();
  });

  it('does not limit looking at the platform, unless a rule names the route', async () => {
    const { door } = await limited(['{ requests: 1/day }', '{ for: { route: /sutaz/v1/state }, requests: 1/day }']);
    const asked = ['/sutaz/v1/models', '/sutaz/v1/models', '/sutaz/v1/state', '/sutaz/v1/state', '/healthz'];
    const answers = [];
    for (const path of asked) answers.push(await door.ask(path));
    expect(statuses(answers)).toEqual([200, 200, 200, 429, 200]);
  });

  it('keeps an account for each key, and one for all where nothing else is said', async () => {
    const { door } = await limited(['{ each: key, requests: 1/minute }', '{ requests: 3/minute }']);
    const ask = (key: string) => door.ask('/services/x/', { key });
    const answers = [];
    for (const key of ['sutaz-use', 'sutaz-use', 'sutaz-admin', 'sutaz-admin']) answers.push(await ask(key));
    expect(statuses(answers)).toEqual([200, 429, 200, 429]);
  });

  it('counts what was refused for nothing, also what came before it in the same request', async () => {
    const { door, limiter, refusals } = await limited([
      '{ name: gate, requests: 5/minute }',
      '{ name: model, for: { model: x }, requests: 1/minute }',
    ]);
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push(await door.ask('/v1/chat/completions', chat()));
    expect(statuses(answers)).toEqual([200, 429, 429]);
    expect(used(limiter)).toEqual([1, 1]);
    expect(refusals).toEqual([
      ['model', 'requests'],
      ['model', 'requests'],
    ]);
  });

  it('gives a place back however a request ends: refused, failed, left', async () => {
    const { door, limiter } = await limited(['{ concurrent: 1 }'], (req) => req.socket.destroy());
    expect((await door.ask('/services/x/')).status).toBe(502);
    expect((await door.ask('/services/nothing/')).status).toBe(404);
    door.world.hold();
    const left = new AbortController();
    const asked = door.ask('/services/x/', { signal: left.signal });
    await expect.poll(() => door.world.waiting.size).toBe(1);
    expect((await door.ask('/services/x/')).status).toBe(429);
    left.abort();
    await expect(asked).rejects.toThrow();
    await expect.poll(() => used(limiter)).toEqual([0]);
  });

  it('counts the bytes of both ways', async () => {
    const { door, limiter } = await limited(['{ bytes: 10MiB/hour }'], answering('y'.repeat(50_000)));
    await door.ask('/services/x/', { method: 'POST', body: 'z'.repeat(30_000) });
    const [bytes] = used(limiter);
    expect(bytes).toBeGreaterThanOrEqual(80_000);
    expect(bytes).toBeLessThan(81_000);
  });
});

describe('a budget of tokens', () => {
  const budget = '{ tokens: 1000/day }';
  const plain = `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":${usage}}`;
  const vectors = '{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":6,"total_tokens":6}}';
  const stream = `data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\ndata: {"choices":[],"usage":${usage}}\n\ndata: [DONE]\n\n`;
  const sse = answering(stream, 'text/event-stream');

  it.each<[string, string, object, Service, number]>([
    ['a chat', '/v1/chat/completions', {}, answering(plain), 15],
    ['a stream', '/v1/chat/completions', { stream: true }, sse, 15],
    ['embeddings', '/v1/embeddings', { input: 'a' }, answering(vectors), 6],
    ["Anthropic's API", '/v1/messages', { max_tokens: 5 }, answering(plain), 15],
    ["Anthropic's streams", '/v1/messages', { max_tokens: 5, stream: true }, sse, 15],
    ["Ollama's API, which streams inside", '/api/chat', { stream: false }, sse, 15],
    ["Ollama's embeddings", '/api/embed', { input: 'a', messages: undefined }, answering(vectors), 6],
    ['responses', '/v1/responses', { input: 'a', messages: undefined }, answering(plain), 15],
  ])('is charged what the engine says: %s', async (_, path, more, service, tokens) => {
    const { door, limiter } = await limited([budget], service);
    expect(await door.ask(path, chat(more))).toMatchObject({ status: 200 });
    await expect.poll(() => used(limiter)).toEqual([tokens]);
  });

  it('shows nothing of usage to who did not ask for it', async () => {
    const asked: unknown[] = [];
    const { door } = await limited([budget], (req, res) => {
      let text = '';
      req.on('data', (chunk: Buffer) => (text += chunk.toString()));
      req.on('end', () => {
        asked.push(JSON.parse(text));
        res.writeHead(200, { 'content-type': 'text/event-stream' }).end(stream);
      });
    });
    const { text } = await door.ask('/v1/chat/completions', chat({ stream: true }));
    expect(text).toBe('data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n');
    expect(asked).toMatchObject([{ model: 'x', stream: true, stream_options: { include_usage: true } }]);
    const own = { stream: true, stream_options: { include_usage: true } };
    expect((await door.ask('/v1/chat/completions', chat(own))).text).toBe(stream);
  });

  it('reserves prompt and answer until the engine says what they were', async () => {
    const { door, limiter } = await limited([budget], answering(plain));
    door.world.hold();
    const first = door.ask('/v1/chat/completions', chat({ max_tokens: 960 }));
    await expect.poll(() => used(limiter)).toEqual([962]);
    const second = await door.ask('/v1/chat/completions', chat({ max_tokens: 900 }));
    expect(second).toMatchObject({ status: 429, headers: { 'retry-after': '1' } });
    door.world.wake();
    expect((await first).status).toBe(200);
    await expect.poll(() => used(limiter)).toEqual([15]);
    expect((await door.ask('/v1/chat/completions', chat({ max_tokens: 960 }))).status).toBe(200);
  });

  it('is charged nothing where the engine was never reached, or refused', async () => {
    const { door, limiter } = await limited([budget], (_, res) => res.writeHead(400).end('{}'));
    expect((await door.ask('/v1/chat/completions', chat())).status).toBe(400);
    door.world.hold();
    const left = new AbortController();
    const asked = door.ask('/v1/chat/completions', { ...chat(), signal: left.signal });
    await expect.poll(() => door.world.waiting.size).toBe(1);
    left.abort();
    await expect(asked).rejects.toThrow();
    await expect.poll(() => used(limiter)).toEqual([0]);
  });

  it('is charged what a stream had come to when its client left', async () => {
    const told = (count: number) =>
      `data: {"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":11,"completion_tokens":${count}}}\n\n`;
    const models = {
      ...fakeModels,
      choose: (...asked: Parameters<typeof fakeModels.choose>) =>
        fakeModels.choose(...asked).map((choice) => ({ ...choice, provides: [continuousUsage] })),
    };
    const service: Service = (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(told(1) + told(2));
    };
    const { door, limiter } = await limited([budget], service, { models });
    const left = new AbortController();
    const asked = door.ask('/v1/chat/completions', { ...chat({ stream: true }), signal: left.signal });
    await expect.poll(() => used(limiter)[0]).toBeGreaterThan(500);
    await expect.poll(() => door.world.leases).toBe(1);
    // The two pieces have come through the door once the upstream's socket has nothing left to say.
    await new Promise((resolve) => setImmediate(resolve));
    left.abort();
    await expect(asked).rejects.toThrow();
    await expect.poll(() => used(limiter)).toEqual([13]);
  });
});

describe('rules that change', () => {
  it('keep what was used of what they still are about', async () => {
    const { door, limiter } = await limited(['{ each: key, requests: 2/minute }', '{ requests: 9/hour }']);
    await door.ask('/services/x/');
    limiter.follow(compiled('{ name: mine, each: key, requests: 1/minute }'));
    expect((await door.ask('/services/x/')).status).toBe(429);
    limiter.follow(compiled('{ each: key, requests: [3/minute, 5/hour] }'));
    expect((await door.ask('/services/x/')).headers.ratelimit).toMatch(/-minute";r=1;t=60, .*-hour";r=4;t=3600/);
    limiter.follow([]);
    expect((await door.ask('/services/x/')).headers.ratelimit).toBeUndefined();
  });

  it('let what was let in end under what it was let in by', async () => {
    const { door, limiter } = await limited(['{ concurrent: 1 }']);
    door.world.hold();
    const asked = door.ask('/services/x/');
    await expect.poll(() => door.world.waiting.size).toBe(1);
    limiter.follow(compiled('{ concurrent: 2 }'));
    expect(used(limiter)).toEqual([1]);
    door.world.wake();
    expect((await asked).status).toBe(200);
    await expect.poll(() => used(limiter)).toEqual([0]);
  });
});

describe('what is used of long periods', () => {
  const rule = '{ each: key, requests: 10/day, concurrent: 5 }';

  it('is the same after a restart, by the time that passed meanwhile', async () => {
    const { door, limiter, clock } = await limited([rule]);
    await door.ask('/services/x/');
    await expect.poll(() => limiter.toKeep(10)).toHaveLength(1);
    await door.ask('/services/x/');
    await expect.poll(() => used(limiter)).toEqual([2, 0]);
    clock.advance(1_000);
    const [row] = limiter.toKeep(10);
    expect(limiter.toKeep(10)).toEqual([]);
    expect(row?.kept?.used).toEqual({ 'requests/day': [[1_000, 2]] });
    const kept = new Map([[row?.key ?? '', row?.kept as KeptAccount]]);
    // Another process: its clock begins anew, the wall's has gone on for an hour, or was put back by one.
    for (const [awayMs, lastsMs] of [
      [3_600_000, day - 3_601_000],
      [-3_600_000, day - 1_000],
    ] as const) {
      const later = fakeClock(5, clock.wall() + awayMs);
      const next = limiterOf([rule], kept, later).limiter;
      const again = await openDoor(answering('{}'), { limiter: next });
      expect((await again.ask('/services/nothing/')).headers.ratelimit).toContain('-day";r=7;t=86400');
      again.close();
      const [account] = [...next.accounts()];
      expect(account?.gauges[0]?.meter.used(5 + lastsMs - 1)).toBe(3);
      // What was used just now may count a 128th of the day longer with it.
      expect(account?.gauges[0]?.meter.used(5 + lastsMs + day / 128)).toBeLessThan(3);
    }
  });

  it('is forgotten with accounts in which nothing is used', async () => {
    const { door, limiter, clock } = await limited(['{ each: key, requests: 2/minute }']);
    await door.ask('/services/x/');
    await expect.poll(() => limiter.toKeep(10)).toHaveLength(1);
    limiter.sweep();
    expect([...limiter.accounts()]).toHaveLength(1);
    clock.advance(60_000);
    limiter.sweep();
    expect([...limiter.accounts()]).toHaveLength(0);
    expect((await door.ask('/services/x/')).headers.ratelimit).toContain('r=1');
  });
});

describe('patterns of rules', () => {
  const known = { keys: ['ada', 'k1'], principals: ['ada'], services: ['chroma'], models: ['qwen3:0.6b', 'default'] };
  const told = (rule: string) => idlePatterns(rulesOf(rule), known).map(({ message }) => message);

  it.each([
    ['{ for: { key: adda }, requests: 1/day }', 'no key is called adda: this limit matches nothing. Did you mean ada?'],
    ['{ for: { model: [qwen3*, qwen2*] }, requests: 1/day }', 'no model is called qwen2*: this limit matches nothing.'],
    ['{ for: { service: chrome }, requests: 1/day }', 'no service is called chrome: this limit matches nothing.'],
    ['{ for: { route: /v3/chat }, requests: 1/day }', 'nothing that is limited is at /v3/chat'],
  ])('%s is told', (rule, message) => {
    expect(told(rule)).toHaveLength(1);
    expect(told(rule)[0]).toContain(message);
  });

  it('that fit something are not', () => {
    expect(told('{ for: { key: a*, model: default, route: /v1/* }, requests: 1/day }')).toEqual([]);
    expect(told('{ for: { route: [/services/chroma/*, "*"] }, requests: 1/day }')).toEqual([]);
  });
});
