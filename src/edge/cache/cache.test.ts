import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { whyNotKept } from './deterministic.ts';
import { canonical, digestOf } from './key.ts';
import { createAnswerStore } from './store.ts';
import { createRecent } from './recent.ts';
import { isKeepable } from './whole.ts';
import { cacheStatus, wishesOf } from './wishes.ts';

const chat = '/v1/chat/completions';

describe('what may be kept', () => {
  it.each([
    ['temperature 0', chat, { temperature: 0 }, null],
    ['a seed', chat, { seed: 0, temperature: 1 }, null],
    ['a function', chat, { seed: 1, tools: [{ type: 'function', function: { name: 'f' } }] }, null],
    ['a picture that is sent along', chat, withImage('data:image/png;base64,iVBORw0KGgo'), null],
    ['vectors', '/v1/embeddings', { input: 'a' }, null],
    ['ranks', '/v1/rerank', { query: 'a' }, null],
    ['chance', chat, {}, 'not-deterministic'],
    ['some chance', chat, { temperature: 0.1 }, 'not-deterministic'],
    ['a seed that is none', chat, { seed: null }, 'not-deterministic'],
    ['what is stored there', chat, { temperature: 0, store: true }, 'effects'],
    ['a search', chat, { temperature: 0, tools: [{ type: 'web_search' }] }, 'effects'],
    ['a picture somewhere', chat, withImage('https://example.org/a.png'), 'address'],
    ['another call', '/tokenize', { temperature: 0 }, 'other-call'],
  ])('%s', (_, path, question, why) => expect(whyNotKept(path, question)).toBe(why));

  function withImage(url: string) {
    return { temperature: 0, messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] };
  }
});

describe('the key', () => {
  const json = fc.jsonValue();
  it('is the same for the same, in whatever order', () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(JSON.parse(canonical(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
    expect(canonical({ b: 1, a: { d: [1, { f: 1, e: 2 }], c: null } })).toBe(
      canonical({ a: { c: null, d: [1, { e: 2, f: 1 }] }, b: 1 }),
    );
  });

  it('is another for anything else', () => {
    const parts = { principal: 'ada', model: 'm', version: 'v', path: chat, question: { a: 1 } };
    const others = [
      ...(['principal', 'model', 'version', 'path'] as const).map((name) => ({ ...parts, [name]: 'other' })),
      // What one field ends with must not be what the next one begins with.
      { ...parts, principal: 'adam', model: '' },
      { ...parts, question: { a: '1' } },
      { ...parts, question: { a: 1, b: null } },
    ];
    expect(new Set([parts, ...others].map(digestOf)).size).toBe(others.length + 1);
  });
});

describe('bodies that are remembered', () => {
  const bodyOf = (value: unknown) => Buffer.from(JSON.stringify(value));

  it('are read once, and by their bytes', () => {
    const read = createRecent();
    const said = read(bodyOf({ a: 'é' }));
    expect(said).toEqual({ a: 'é' });
    expect(read(bodyOf({ a: 'é' }))).toBe(said);
    // Both are the sign for what is no UTF-8, once they are read as such.
    const [one, other] = [0x80, 0x81].map((byte) => Buffer.from([...Buffer.from('{"a":"'), byte, 0x22, 0x7d]));
    expect(read(one as Buffer)).not.toBe(read(other as Buffer));
  });

  it('are forgotten when there are too many, and never kept when they are large', () => {
    const read = createRecent();
    const [first, large] = [bodyOf({ a: 0 }), bodyOf({ a: 'x'.repeat(5_000) })];
    const said = read(first);
    expect(read(large)).not.toBe(read(large));
    for (let i = 1; i <= 64; i++) read(bodyOf({ a: i }));
    expect(read(first)).not.toBe(said);
    expect(() => read(Buffer.from('{'))).toThrow('not valid JSON');
  });
});

describe('the store', () => {
  const answer = (bytes: number, ...tags: string[]) => ({
    ...{ contentType: 'application/json', body: Buffer.alloc(bytes), at: 0, tags },
  });

  it('never holds more than it may, and drops what was not asked for the longest', () => {
    const store = createAnswerStore(100_000);
    for (let i = 0; i < 50; i++) {
      store.set(String(i), answer(9_000, 'model a'));
      store.get('0');
      expect(store.bytes).toBeLessThanOrEqual(100_000);
    }
    expect(store.get('0')).toBeDefined();
    expect(store.get('1')).toBeUndefined();
    expect(store.evicted).toBe(50 - store.entries);
  });

  it('takes nothing that would drive out all others', () => {
    const store = createAnswerStore(100_000);
    store.set('large', answer(50_000));
    expect(store.get('large')).toBeUndefined();
  });

  it('forgets by tags, all of which must fit', () => {
    const store = createAnswerStore(100_000);
    store.set('1', answer(1, 'model a', 'principal ada'));
    store.set('2', answer(1, 'model a', 'principal bob'));
    store.set('3', answer(1, 'model b', 'principal ada'));
    expect(store.clear(['model a', 'principal ada'])).toBe(1);
    expect(store.clear(['model a'])).toBe(1);
    expect(store.clear(['model a'])).toBe(0);
    expect(store.get('3')).toBeDefined();
    expect(store.clear([])).toBe(1);
    expect([store.entries, store.bytes]).toEqual([0, 0]);
  });
});

describe('what is whole', () => {
  const of = (type: string, ...more: string[]) => ({
    ...{ status: 200, headers: ['content-type', type, ...more], framing: { kind: 'chunked' } as const },
  });
  const json = of('application/json');
  const events = of('text/event-stream', 'cache-control', 'no-cache');
  it.each([
    [json, '{"choices":[]}', true],
    [json, '{"choices":[', false],
    [json, '{"error":{"message":"no"}}', false],
    [{ ...json, status: 201 }, '{}', false],
    [of('application/json', 'cache-control', 'no-store'), '{}', false],
    [of('application/json', 'content-encoding', 'gzip'), '{}', false],
    [events, 'data: {"a":"data: [DONE]"}\n\ndata: [DONE]\n\n', true],
    [events, 'data: {"a":1}\n\n', false],
    [events, 'data: {"a":"data: [DONE]"}\n\n', false],
    [events, 'data: {"error":{}}\n\ndata: [DONE]\n\n', false],
    [events, 'event: error\ndata: {}\n\ndata: [DONE]\n\n', false],
  ])('%j %j: %s', (head, text, whole) => expect(isKeepable(head, Buffer.from(text))).toBe(whole));
});

describe('what a client says of caches', () => {
  it.each([
    [{}, {}],
    [{ 'cache-control': 'No-Cache' }, { asksAnew: true }],
    [{ pragma: 'no-cache' }, { asksAnew: true }],
    [{ 'cache-control': 'max-age=5', pragma: 'no-cache' }, { maxAgeMs: 5_000 }],
    [{ 'cache-control': 'no-store, max-age="7"' }, { keepsNothing: true, maxAgeMs: 7_000 }],
    [{ 'cache-control': 'only-if-cached, max-age=x' }, { onlyKept: true }],
  ])('%j', (headers, said) =>
    expect(wishesOf(headers)).toEqual({
      ...{ asksAnew: false, keepsNothing: false, maxAgeMs: Infinity, onlyKept: false },
      ...said,
    }),
  );

  it('is answered as RFC 9211 has it', () => {
    expect(cacheStatus({ kind: 'hit', ttlMs: 3_540_900 })).toBe('sutaz; hit; ttl=3540');
    expect(cacheStatus({ kind: 'bypass', why: 'no-store' })).toBe('sutaz; fwd=bypass; detail=no-store');
  });
});
