import { request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { configSchema } from '#config/static';
import { parseStrict } from '#config/strict';
import { fakeClock } from '#kernel/clock.fake';
import { fakePickers } from '#routing/picker.fake';
import { openDoor } from '../door.fake.ts';
import type { Answer, OpenDoor } from '../door.fake.ts';
import { outsideWaker } from '../routes/outside.ts';
import { compileRoutes } from '../routes/table.ts';

let door: OpenDoor;
/** What came to the service. */
let seen: IncomingMessage[] = [];
beforeEach(() => {
  seen = [];
  // Times of HTTP are those of the calendar.
  vi.useFakeTimers({ toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
  door.close();
});
const pass = (seconds: number) => void vi.setSystemTime(Date.now() + seconds * 1_000);

type Service = (req: IncomingMessage, res: ServerResponse) => void;

async function openWith(service: Service, options = '{}', more = ''): Promise<void> {
  const text = `routes: { r: { match: { path: /r/* }, to: { service: x }, with: [{ stripPrefix: /r }, { httpCache: ${options} }${more}] } }`;
  const parsed = parseStrict(text, 'sutaz.yaml', configSchema);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const table = compileRoutes(parsed.value, () => ({}));
  const routes = { table: () => table, outside: outsideWaker(fakePickers(fakeClock())) };
  door = await openDoor(
    (req, res) => {
      seen.push(req);
      service(req, res);
    },
    { routes },
  );
}

const saying =
  (headers: Record<string, string | string[]>, status = 200, body = 'said'): Service =>
  (_, res) =>
    void res.writeHead(status, headers).end(body);
const get = (headers: Record<string, string> = {}, path = '/r/a', key = 'sutaz-admin') =>
  door.ask(path, { headers, key });
const said = ({ headers }: Answer) => headers['cache-status'];
const stored = 'sutaz; fwd=uri-miss; stored';

describe('an answer that is declared to be good for a while', () => {
  it('comes again with its age, and the service is not asked until it is over', async () => {
    await openWith(
      saying({ 'cache-control': 'Max-Age=60, must-revalidate', 'content-type': 'text/plain', 'x-own': '1' }),
    );
    const first = await get();
    expect([said(first), first.headers['x-own'], first.text]).toEqual([stored, '1', 'said']);
    pass(20);
    const second = await get();
    expect([said(second), second.headers.age, second.text]).toEqual(['sutaz; hit; ttl=40', '20', 'said']);
    expect(second.headers).toMatchObject({ 'x-own': '1', 'content-length': '4', 'content-type': 'text/plain' });
    expect(second.headers['x-sutaz-trace-id']).not.toBe(first.headers['x-sutaz-trace-id']);
    const head = await door.ask('/r/a', { method: 'HEAD' });
    expect([said(head), head.headers['content-length'], head.text]).toEqual(['sutaz; hit; ttl=40', '4', '']);
    expect(seen).toHaveLength(1);
    pass(40);
    expect(said(await get())).toBe('sutaz; fwd=stale; stored');
    expect(seen).toHaveLength(2);
  });

  it.each([
    ['Expires', { expires: new Date(Date.now() + 90_000).toUTCString() }],
    ['s-maxage over max-age', { 'cache-control': 'max-age=1, s-maxage=600' }],
    ['an age that it had before', { 'cache-control': 'max-age=100', age: '50' }],
  ])('is so by %s', async (_, headers) => {
    vi.useRealTimers();
    vi.useFakeTimers({ toFake: ['Date'] });
    await openWith(saying(headers));
    await get();
    pass(30);
    expect(said(await get())).toMatch(/^sutaz; hit; ttl=/);
    pass(700);
    expect(said(await get())).toMatch(/^sutaz; fwd=stale/);
  });

  it.each([
    ['nothing', {}],
    ['no-store', { 'cache-control': 'max-age=60, no-store', etag: '"1"' }],
    ['private', { 'cache-control': 'private, max-age=60' }],
    ['a cookie that comes with it', { 'cache-control': 'max-age=60', 'set-cookie': ['a=1'] }],
    ['Vary: *', { 'cache-control': 'max-age=60', vary: '*' }],
    ['events', { 'cache-control': 'max-age=60', 'content-type': 'text/event-stream' }],
    ['a date that is none', { expires: '0' }],
  ])('is not, by %s', async (_, headers) => {
    await openWith(saying(headers));
    expect([said(await get()), said(await get())]).toEqual(['sutaz; fwd=uri-miss', 'sutaz; fwd=uri-miss']);
  });

  it('is not kept when it is an error, part of something, larger than allowed, or broken off', async () => {
    let answer: Service = saying({ 'cache-control': 'max-age=60' }, 500);
    await openWith((req, res) => answer(req, res), '{ memory: 64KiB }');
    const twice = async () => [said(await get()), said(await get())];
    expect(await twice()).toEqual(['sutaz; fwd=uri-miss', 'sutaz; fwd=uri-miss']);
    answer = saying({ 'cache-control': 'max-age=60', 'content-range': 'bytes 0-3/9' }, 206);
    expect(await twice()).toEqual(['sutaz; fwd=uri-miss', 'sutaz; fwd=uri-miss']);
    answer = saying({ 'cache-control': 'max-age=60' }, 200, 'x'.repeat(10_000));
    await twice();
    expect(said(await get())).toBe('sutaz; fwd=uri-miss; stored');
    answer = (_, res) => {
      res.writeHead(200, { 'cache-control': 'max-age=60', 'content-length': '10' }).write('half');
      setImmediate(() => res.destroy());
    };
    await get().catch(() => undefined);
    answer = saying({ 'cache-control': 'max-age=60' }, 200, 'whole');
    expect([said(await get()), (await get()).text]).toEqual([stored, 'whole']);
  });
});

describe('callers', () => {
  it('have answers of their own, unless they are shared', async () => {
    await openWith(saying({ 'cache-control': 'max-age=60' }));
    await get();
    expect(said(await get({}, '/r/a', 'sutaz-use'))).toBe('sutaz; fwd=vary-miss; stored');
    expect(said(await get())).toMatch(/hit/);
    door.close();
    await openWith(saying({ 'cache-control': 'max-age=60' }), '{ shared: true }');
    await get();
    expect(said(await get({}, '/r/a', 'sutaz-use'))).toMatch(/hit/);
    expect(said(await get({ cookie: 'who=me' }))).toBe('sutaz; fwd=bypass; detail=cookie');
  });

  it('who show the service a key of their own get nothing that is kept, unless it is public', async () => {
    const own = { 'x-sutaz-key': 'sutaz-admin', authorization: 'Bearer of-the-service' };
    const ask = () => door.ask('/r/a', { headers: own, key: null });
    await openWith(saying({ 'cache-control': 'max-age=60' }));
    expect([said(await ask()), said(await ask())]).toEqual(['sutaz; fwd=uri-miss', 'sutaz; fwd=uri-miss']);
    door.close();
    await openWith(saying({ 'cache-control': 'max-age=60, public' }));
    expect([said(await ask()), said(await ask())]).toEqual([stored, 'sutaz; hit; ttl=60']);
  });

  it.each([
    [{ 'cache-control': 'no-cache' }, 'sutaz; fwd=request; stored'],
    [{ 'cache-control': 'max-age=5' }, 'sutaz; fwd=request; stored'],
    [{ 'cache-control': 'no-store' }, 'sutaz; fwd=bypass; detail=no-store'],
    [{ range: 'bytes=0-1' }, 'sutaz; fwd=bypass; detail=range-or-body'],
    [{ 'cache-control': 'max-stale' }, 'sutaz; hit; ttl=50'],
    [{ pragma: 'no-cache' }, 'sutaz; fwd=request; stored'],
    [{ 'cache-control': 'max-age=20', pragma: 'no-cache' }, 'sutaz; hit; ttl=50'],
  ])('who say %j', async (headers, status) => {
    await openWith(saying({ 'cache-control': 'max-age=60' }));
    await get();
    pass(10);
    expect(said(await get(headers))).toBe(status);
  });

  it('who want only what is kept are told when there is nothing, or nothing fresh', async () => {
    await openWith(saying({ 'cache-control': 'max-age=60' }));
    const only = { 'cache-control': 'only-if-cached, max-stale' };
    expect((await get(only)).status).toBe(504);
    await get();
    expect((await get(only)).status).toBe(200);
    pass(61);
    expect([(await get(only)).status, seen.length]).toEqual([504, 1]);
  });
});

describe('Vary', () => {
  it('keeps each form for who asks for it', async () => {
    await openWith((req, res) => {
      res.writeHead(200, { 'cache-control': 'max-age=60', vary: 'Accept-Language, x-none' });
      res.end(req.headers['accept-language']);
    });
    const ask = async (language: string) => {
      const answer = await get({ 'accept-language': language });
      return [said(answer), answer.text];
    };
    expect(await ask('de')).toEqual([stored, 'de']);
    expect(await ask('fr')).toEqual(['sutaz; fwd=vary-miss; stored', 'fr']);
    expect(await ask('de')).toEqual(['sutaz; hit; ttl=60', 'de']);
    expect(await ask('fr')).toEqual(['sutaz; hit; ttl=60', 'fr']);
  });
});

describe('what is stale', () => {
  it('is asked about by its ETag, and is fresh again when it is the same', async () => {
    await openWith((req, res) => {
      const headers = { 'cache-control': 'max-age=10', etag: '"1"', 'x-count': String(seen.length) };
      if (req.headers['if-none-match'] === '"1"') return void res.writeHead(304, headers).end();
      res.writeHead(200, { ...headers, 'content-type': 'text/plain' }).end('said');
    });
    await get();
    pass(20);
    const again = await get();
    expect([again.status, again.text, said(again)]).toEqual([200, 'said', 'sutaz; fwd=stale; fwd-status=304']);
    expect(again.headers).toMatchObject({ 'x-count': '2', 'content-type': 'text/plain', age: '0' });
    expect(said(await get())).toBe('sutaz; hit; ttl=10');
    // Who has it gets none of it, whether it is fresh or was asked about.
    const has = { 'if-none-match': 'W/"1"' };
    expect(await get(has)).toMatchObject({ status: 304, text: '' });
    pass(20);
    expect(await get(has)).toMatchObject({ status: 304, text: '' });
    // Who has an older one gets all of it.
    pass(20);
    expect(await get({ 'if-none-match': '"0"' })).toMatchObject({ status: 200, text: 'said' });
    expect(seen.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"1"', '"1"', '"1"']);
  });

  it('is asked about by when it was changed, and replaced when it is another', async () => {
    let text = 'old';
    await openWith((_, res) => {
      res.writeHead(200, { 'cache-control': 'no-cache', 'last-modified': 'Tue, 24 Nov 2026 10:00:00 GMT' }).end(text);
    });
    await get();
    text = 'new';
    expect(await get()).toMatchObject({ status: 200, text: 'new' });
    expect(seen[1]?.headers['if-modified-since']).toBe('Tue, 24 Nov 2026 10:00:00 GMT');
    const since = { 'if-modified-since': 'Tue, 24 Nov 2026 10:00:00 GMT' };
    text = 'newer';
    expect((await get(since)).status).toBe(200);
  });

  it('is never given in place of an error', async () => {
    let status = 200;
    await openWith(
      (_, res) =>
        void res
          .writeHead(status, { 'cache-control': 'max-age=1, stale-if-error=99, stale-while-revalidate=99' })
          .end(),
    );
    await get();
    pass(5);
    status = 500;
    expect((await get()).status).toBe(500);
  });
});

describe('a change', () => {
  it('makes what is kept of its address void, and of what it names, but not when it fails', async () => {
    let status = 500;
    await openWith((req, res) => {
      const headers = req.method === 'POST' ? { location: '/b' } : { 'cache-control': 'max-age=60' };
      res.writeHead(req.method === 'POST' ? status : 200, headers).end();
    });
    const post = () => door.ask('/r/a', { method: 'POST', body: '{}' });
    const both = async () => [said(await get()), said(await get({}, '/r/b'))];
    await both();
    expect(said(await post())).toBe('sutaz; fwd=method');
    expect(await both()).toEqual(['sutaz; hit; ttl=60', 'sutaz; hit; ttl=60']);
    status = 201;
    await post();
    expect(await both()).toEqual([stored, stored]);
  });
});

describe('many at once', () => {
  it('are one request to the service', async () => {
    const come = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    await openWith((_, res) => {
      come.resolve();
      void go.promise.then(() => saying({ 'cache-control': 'max-age=60' })(_, res));
    });
    const first = get();
    await come.promise;
    let arrived = 0;
    door.server.on('request', () => arrived++);
    const others = Array.from({ length: 20 }, () => get());
    await vi.waitFor(() => expect(arrived).toBe(20));
    go.resolve();
    const answers = await Promise.all([first, ...others]);
    expect(answers.map(({ text }) => text)).toEqual(Array(21).fill('said'));
    expect(seen).toHaveLength(1);
  });

  it('go on without the one they waited for, when it leaves', async () => {
    const come = Promise.withResolvers<void>();
    await openWith((_, res) => {
      if (seen.length > 1) return saying({ 'cache-control': 'max-age=60' })(_, res);
      res.writeHead(200, { 'cache-control': 'max-age=60' }).write('begun');
      come.resolve();
    });
    const headers = { authorization: 'Bearer sutaz-admin' };
    const first = request({ host: '127.0.0.1', port: door.port, path: '/r/a', headers }).on('error', () => undefined);
    first.end();
    await come.promise;
    let arrived = 0;
    door.server.on('request', () => arrived++);
    const others = [get(), get()];
    await vi.waitFor(() => expect(arrived).toBe(2));
    first.destroy();
    expect((await Promise.all(others)).map(({ text }) => text)).toEqual(['said', 'said']);
  });

  it('do not wait for what is not kept', async () => {
    const ends: (() => void)[] = [];
    await openWith((_, res) => {
      res.writeHead(200, { 'cache-control': 'no-store' }).write('b');
      ends.push(() => res.end());
      if (ends.length === 3) for (const end of ends) end();
    });
    await Promise.all([get(), get(), get()]);
    expect(seen).toHaveLength(3);
  });
});

it('is changed anew by what else the route does, for each client', async () => {
  const json = { 'cache-control': 'max-age=60', 'content-type': 'application/json', etag: '"1"' };
  await openWith(saying(json, 200, '{"a":1,"secret":2}'), '{}', ', { answerJson: { remove: [secret] } }');
  const [first, second] = [await get(), await get()];
  expect([first.text, second.text, said(second)]).toEqual(['{"a":1}', '{"a":1}', 'sutaz; hit; ttl=60']);
});

it('never gives what is older than was declared, nor what was there before a change was answered', async () => {
  type Step =
    | { readonly do: 'get' | 'head' }
    | { readonly do: 'pass'; readonly seconds: number }
    | { readonly do: 'edit' | 'post' };
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('get', 'head') }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), seconds: fc.integer({ min: 1, max: 8 }) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('edit', 'post') }) },
  );
  let version = 0;
  let lifetime = 5;
  let asksBy = true;
  await openWith((req, res) => {
    if (req.method === 'POST') version++;
    const etag = asksBy ? { etag: `"${version}"` } : {};
    if (asksBy && req.headers['if-none-match'] === etag.etag)
      return void res.writeHead(304, { ...etag, 'cache-control': `max-age=${lifetime}` }).end();
    res.writeHead(200, { ...etag, 'x-version': String(version), 'cache-control': `max-age=${lifetime}` }).end();
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 12 }),
      fc.integer({ min: 0, max: 6 }),
      fc.boolean(),
      async (steps, seconds, etags) => {
        const path = `/r/${Math.random()}`;
        [lifetime, asksBy] = [seconds, etags];
        /** When each version was the last time that of the service, and which one no older one may come after. */
        const until = new Map<number, number>();
        let least = version;
        for (const one of steps) {
          if (one.do === 'pass') pass(one.seconds);
          if (one.do === 'edit') until.set(version++, Date.now());
          if (one.do === 'post') {
            until.set(version, Date.now());
            await door.ask(path, { method: 'POST' });
            least = version;
          }
          if (one.do !== 'get' && one.do !== 'head') continue;
          const { headers } = await door.ask(path, { method: one.do.toUpperCase() });
          const got = Number(headers['x-version']);
          expect(got).toBeGreaterThanOrEqual(least);
          expect(Date.now() - (until.get(got) ?? Date.now())).toBeLessThanOrEqual(lifetime * 1_000);
        }
      },
    ),
    { numRuns: 60 },
  );
});
