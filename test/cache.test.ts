import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiMadeKey } from '#contracts/security-api';
import { startPlatform, testHome } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { prepared } from './_prepared.ts';
import { until } from './_processes.ts';

/** A server that is not ours, and what came to it. */
const asked: string[] = [];
const elsewhere = createServer((req, res) => {
  asked.push(`${req.method} ${req.url}`);
  const headers = { etag: '"1"', 'cache-control': 'max-age=600', 'content-type': 'text/plain' };
  if (req.headers['if-none-match'] === '"1"') return void res.writeHead(304, headers).end();
  res.writeHead(200, headers).end('The same line.\n'.repeat(500));
});
const config = (shared: boolean) => `models: { context: 1024, slots: 2 }
cache: { memory: 16MiB, age: 1h, shared: ${shared} }
routes:
  away:
    match: { path: /away/* }
    to: { url: "http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}" }
    with: [{ stripPrefix: /away }, { httpCache: {} }, { compress: {} }]
`;

let platform: TestPlatform;
beforeAll(async () => {
  await once(elsewhere.listen(0, '127.0.0.1'), 'listening');
  await prepared(testHome(), 'all-minilm');
  platform = await startPlatform({ config: config(false) });
});
afterAll(async () => {
  elsewhere.close();
  await platform.stop();
});

const model = 'smollm2:135m';
const hit = /^sutaz; hit; ttl=3[56]\d\d$/;
const miss = 'sutaz; fwd=uri-miss';
const say = (content: string) => [{ role: 'user' as const, content }];

/** What was said of the cache with each answer that came since the last call. */
function watching() {
  const said: (string | null)[] = [];
  const watched: typeof fetch = async (...asked) => {
    const response = await fetch(...asked);
    said.push(response.headers.get('cache-status'));
    return response;
  };
  return { fetch: watched, said: () => said.splice(0) };
}

const ask = async (path: string, body: object, key = platform.key) => {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const response = await fetch(platform.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = (await response.json()) as Record<string, unknown>;
  return { status: response.status, said: response.headers.get('cache-status'), answer };
};

/** An engine that is gone cannot have answered. */
async function stop(name: string): Promise<void> {
  await (await platform.fetch(`/sutaz/v1/units/${name}/stop`, { method: 'POST' })).text();
  await platform.untilState(name, 'cold');
}

describe('answers that are kept', () => {
  it("come again in Anthropic's API, whole and as a stream, and wake nothing", async () => {
    const { fetch: watched, said } = watching();
    const client = new Anthropic({ baseURL: platform.url, apiKey: platform.key, maxRetries: 0, fetch: watched });
    const call = { model, max_tokens: 12, temperature: 0, messages: say('Name a colour.') };
    const first = await client.messages.create(call);
    const streamed = await client.messages.stream(call).finalMessage();
    expect(said()).toEqual([miss, miss]);
    await stop(model);
    const again = await client.messages.create(call);
    const streamedAgain = await client.messages.stream(call).finalMessage();
    expect(said()).toEqual([expect.stringMatching(hit), expect.stringMatching(hit)]);
    expect([again.content, again.usage]).toEqual([first.content, first.usage]);
    expect([streamedAgain.content, streamedAgain.usage]).toEqual([streamed.content, streamed.usage]);
    expect((await platform.unit(model)).state).toBe('cold');
    const byChance = { ...call, temperature: 0.9 };
    await client.messages.create(byChance);
    expect(said()).toEqual(['sutaz; fwd=bypass; detail=not-deterministic']);
  });

  it("come again in Ollama's API: chats, what is generated, vectors", async () => {
    const { fetch: watched, said } = watching();
    const headers = { authorization: `Bearer ${platform.key}` };
    const client = new Ollama({ host: platform.url, headers, fetch: watched });
    const options = { num_predict: 8, temperature: 0 };
    const calls = async () => {
      const chat = await client.chat({ model, messages: say('Name a town.'), options });
      let text = '';
      const stream = await client.chat({ model, messages: say('Name a town.'), options, stream: true });
      for await (const { message } of stream) text += message.content;
      const { response } = await client.generate({ model, prompt: 'Two and two are', options });
      const { embeddings } = await client.embed({ model: 'all-minilm', input: ['one', 'two'] });
      return [chat.message.content, text, response, embeddings];
    };
    const first = await calls();
    // The engine is asked for a stream whether the client wants one or not, so that the second has what the first got.
    expect(said()).toEqual([miss, expect.stringMatching(hit), miss, miss]);
    await Promise.all([stop(model), stop('all-minilm')]);
    expect(await calls()).toEqual(first);
    expect(said()).toEqual(Array(4).fill(expect.stringMatching(hit)));
    expect((await platform.unit(model)).state).toBe('cold');
  });

  it('are vectors and ranks as well, whatever the order of the members that ask for them', async () => {
    const documents = ['A cat is asleep on a couch.', 'Interest rates rose.'];
    const ranks = await ask('/v1/rerank', { model: 'all-minilm', query: 'a sleeping cat', documents });
    const vectors = await ask('/v1/embeddings', { model: 'all-minilm', input: 'three' });
    expect([ranks.status, ranks.said, vectors.status, vectors.said]).toEqual([200, miss, 200, miss]);
    await stop('all-minilm');
    const again = [
      await ask('/v2/rerank', { documents, query: 'a sleeping cat', model: 'all-minilm' }),
      await ask('/v1/embeddings', { input: 'three', model: 'all-minilm' }),
    ] as const;
    expect(again.map(({ said }) => said)).toEqual([expect.stringMatching(hit), expect.stringMatching(hit)]);
    expect(again[0].answer.results).toEqual(ranks.answer.results);
    expect(again[1].answer.data).toEqual(vectors.answer.data);
    expect((await platform.unit('all-minilm')).state).toBe('cold');
  });

  it('are counted for Prometheus', async () => {
    const values = async () => {
      const text = await (await platform.fetch('/metrics')).text();
      const counted = [...text.matchAll(/^sutaz_cache_requests_total\{outcome="([\w-]+)"\} (\d+)$/gm)];
      return { text, of: Object.fromEntries(counted.map(([, outcome, count]) => [outcome, Number(count)])) };
    };
    const call = { model: 'all-minilm', input: 'to be counted' };
    const before = await values();
    await ask('/v1/embeddings', call);
    await ask('/v1/embeddings', call);
    await ask('/v1/embeddings', call);
    const { of, text } = await values();
    expect(of).toEqual({ ...before.of, miss: (before.of.miss ?? NaN) + 1, hit: (before.of.hit ?? NaN) + 2 });
    const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type]) => [name, type]));
    expect(types.get('sutaz_cache_evicted_total')).toBe('counter');
    expect(types.get('sutaz_cache_bytes')).toBe('gauge');
    // All of them: what Prometheus takes rates of is named so, and nothing else is.
    const strange = [...types].filter(([name, type]) => name.endsWith('_total') !== (type === 'counter'));
    expect(strange).toEqual([]);
    expect(text).toMatch(/^sutaz_cache_entries [1-9]\d*$/m);
  });
});

it('what a server declares good for a while is kept for a route, and packed for each client as it likes', async () => {
  const read = async (coding: string, more: Record<string, string> = {}) => {
    const response = await platform.fetch('/away/page?x=1', { headers: { 'accept-encoding': coding, ...more } });
    const { status, headers } = response;
    const text = await response.text();
    return { status, text, said: headers.get('cache-status'), coding: headers.get('content-encoding') };
  };
  const text = 'The same line.\n'.repeat(500);
  expect(await read('br')).toEqual({ status: 200, text, said: 'sutaz; fwd=uri-miss; stored', coding: 'br' });
  const kept = expect.stringMatching(/^sutaz; hit; ttl=(600|59\d)$/);
  expect(await read('gzip')).toEqual({ status: 200, text, said: kept, coding: 'gzip' });
  expect(await read('identity')).toEqual({ status: 200, text, said: kept, coding: null });
  // Without a word of its own, this client would ask for it anew.
  const has = { 'if-none-match': 'W/"1"', 'cache-control': 'max-age=600' };
  expect(await read('gzip', has)).toEqual({ status: 304, text: '', said: kept, coding: null });
  expect(asked).toEqual(['GET /page?x=1']);
  await (await platform.fetch('/away/page?x=1', { method: 'DELETE' })).text();
  expect((await read('br')).said).toBe('sutaz; fwd=uri-miss; stored');
  expect(asked).toEqual(['GET /page?x=1', 'DELETE /page?x=1', 'GET /page?x=1']);
});

describe('answers between callers', () => {
  const key = async (body: object) => ((await ask('/sutaz/v1/keys', body)).answer as unknown as ApiMadeKey).key;
  const call = { model: 'all-minilm', input: 'between callers' };
  const saidTo = async (by: string) => (await ask('/v1/embeddings', call, by)).said;

  it('are each their own, and those of all keys of one', async () => {
    const ada = await key({ name: 'ada', principal: 'ada', roles: ['user'] });
    const other = await key({ name: 'ada again', principal: 'ada', roles: ['user'] });
    const bob = await key({ name: 'bob', principal: 'bob', roles: ['user'] });
    expect([await saidTo(ada), await saidTo(bob)]).toEqual([miss, miss]);
    expect(await saidTo(other)).toMatch(hit);
  });

  it('are for all where they are shared, but for who may not use the model', async () => {
    const [ada, bob] = [await key({ name: 'a', roles: ['user'] }), await key({ name: 'b', roles: ['user'] })];
    const stranger = await key({ name: 'c', scopes: [`models:use:${model}`] });
    await writeFile(join(platform.home, 'sutaz.yaml'), config(true));
    const settings = async () => (await (await platform.fetch('/sutaz/v1/cache')).json()) as { shared: boolean };
    await until(async () => (await settings()).shared, 'the cache to be shared', 10_000);
    expect(await saidTo(ada)).toBe(miss);
    expect(await saidTo(bob)).toMatch(hit);
    const refused = await ask('/v1/embeddings', call, stranger);
    expect([refused.status, refused.said]).toEqual([403, null]);
  });
});
