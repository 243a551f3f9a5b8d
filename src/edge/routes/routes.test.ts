import { request } from 'node:http';
import type { IncomingMessage, RequestListener } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { configSchema } from '#config/static';
import { formatProblem, parseStrict } from '#config/strict';
import { fakeClock } from '#kernel/clock.fake';
import { fakePickers, plainPolicy } from '#routing/picker.fake';
import { createPickers } from '#routing/pickers';
import { principalWith } from '#security/principal.fake';
import { createSessions } from '#security/sessions';
import type { Identity } from '../auth.ts';
import { identityOf, openDoor } from '../door.fake.ts';
import type { OpenDoor } from '../door.fake.ts';
import type { Middleware } from '../middlewares/middleware.ts';
import { outsideWaker, urlOfOutside } from './outside.ts';
import type { Routes } from './serve.ts';
import { compileRoutes } from './table.ts';

let door: OpenDoor;
afterEach(() => door.close());

/** Answers with what it was asked. */
const echo: RequestListener = (req, res) => {
  void textOf(req).then((body) => {
    res.setHeader('server', 'echo').setHeader('set-cookie', ['a=1', 'b=2']);
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ url: req.url, headers: req.headers, body, secret: 1 }));
  });
};

async function textOf(req: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of req) text += String(chunk);
  return text;
}

interface More {
  /** What every module of the user's own is. */
  readonly own?: Middleware;
  /** What the key `some` may. */
  readonly scope?: string;
}

async function openWith(
  text: string,
  service: RequestListener = echo,
  { own = {}, scope }: More = {},
): Promise<OpenDoor> {
  const parsed = parseStrict(text, 'sutaz.yaml', configSchema);
  if (!parsed.ok) throw new Error(parsed.problems.map(formatProblem).join('\n'));
  const table = compileRoutes(parsed.value, () => own);
  const routes: Routes = { table: () => table, outside: outsideWaker(fakePickers(fakeClock())) };
  door = await openDoor(service, { routes, ...(scope !== undefined && { identity: identityWith(scope) }) });
  return door;
}

function identityWith(scope: string): Identity {
  const clock = fakeClock();
  const identity = identityOf(createSessions({ clock, present: (one) => one }), clock);
  return { ...identity, verifyKey: (key) => (key === 'some' ? principalWith(null, [scope]) : null) };
}

interface Echoed {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
const echoed = async (...asked: Parameters<OpenDoor['ask']>): Promise<Echoed> =>
  JSON.parse((await door.ask(...asked)).text) as Echoed;
const wiki = 'routes: { wiki: { match: { path: /manual/* }, to: { service: x }, with: [{ stripPrefix: /manual }] } }';
const admin = principalWith('admin', [], 'admin');
const json = { 'content-type': 'application/json' };

describe('a route to a service', () => {
  it('goes there by its own path, with the query as it was', async () => {
    await openWith(wiki);
    expect((await echoed('/manual/a%2Fb?c=%20')).url).toBe('/a%2Fb?c=%20');
    expect((await echoed('/manual')).url).toBe('/');
    expect((await echoed('/manual/a')).headers['x-forwarded-prefix']).toBe('/manual');
  });

  it('needs a key with the scope of the service, and shows nothing without one', async () => {
    await openWith(wiki.replace('service: x', 'service: y'));
    expect(await door.ask('/manual/a', { key: null })).toMatchObject({ status: 401 });
    expect(await door.ask('/manual/a', { key: 'wrong' })).toMatchObject({ status: 401 });
    expect(await door.ask('/manual/a')).toMatchObject({ status: 404 });
  });

  it.each([
    ['services:use:y', 403],
    ['services:use:x', 200],
    ['models:use', 403],
  ])('with the scope %s answers %i', async (scope, status) => {
    await openWith(wiki, echo, { scope });
    expect((await door.ask('/manual/a', { key: 'some' })).status).toBe(status);
  });

  it('keeps redirects of the service below its path', async () => {
    await openWith(wiki, (_, res) => res.writeHead(302, { location: '/login' }).end());
    expect((await door.ask('/manual/a')).headers.location).toBe('/manual/login');
  });

  it("shows no page of a service's where the door's session counts", async () => {
    await openWith(wiki);
    const session = door.sessions.redeem(door.sessions.ticket(admin).token);
    const headers = { cookie: `sutaz_session=${session?.token}`, 'sec-fetch-site': 'same-origin' };
    const answer = await door.ask('/manual/a', { key: null, headers });
    expect(answer.status).toBe(303);
    expect(answer.headers.location).toContain('x.localhost');
  });

  it('answers at a host name of its own, which the door has none of otherwise', async () => {
    await openWith('routes: { w: { match: { host: "*.box.lan" }, to: { service: x } } }');
    expect((await echoed('/docs', { headers: { host: 'wiki.box.lan' } })).url).toBe('/docs');
    expect(await door.ask('/docs', { key: null, headers: { host: 'wiki.box.lan' } })).toMatchObject({ status: 401 });
    expect(await door.ask('/v1/models', { headers: { host: 'evil.example' } })).toMatchObject({ status: 403 });
  });
});

describe('a fixed answer', () => {
  const text = (more = '') =>
    `routes: { a: { match: { path: /robots.txt }, answer: { body: "no", type: text/plain }${more} }, b: { match: { path: /old/* }, redirect: { to: /new/*, status: 308 }${more} } }`;

  it('needs a key unless it says that it is public', async () => {
    await openWith(text());
    expect(await door.ask('/robots.txt', { key: null })).toMatchObject({ status: 401 });
    expect(await door.ask('/robots.txt')).toMatchObject({ status: 200, text: 'no' });
  });

  it('that is public is for everyone, at the names of the door', async () => {
    await openWith(text(', public: true'));
    expect(await door.ask('/robots.txt', { key: null })).toMatchObject({ status: 200, text: 'no' });
    const evil = { key: null, headers: { host: 'evil.example' } };
    expect(await door.ask('/robots.txt', evil)).toMatchObject({ status: 403 });
    const { status, headers } = await door.ask('/old/a/b?c=1', { key: null });
    expect([status, headers.location]).toEqual([308, '/new/a/b?c=1']);
  });

  it('never redirects to another host that only the address names', async () => {
    await openWith('routes: { b: { match: { path: /old/* }, redirect: { to: /* }, public: true } }');
    for (const path of ['/old//evil.example', '/old/\\evil.example', '/old///evil.example']) {
      expect((await door.ask(path, { key: null })).headers.location).toBe('/evil.example');
    }
  });
});

describe('what is protected', () => {
  it('stays where it is, whatever a route takes', async () => {
    await openWith('routes: { all: { match: { path: /* }, answer: { body: "mine" }, public: true } }');
    expect((await door.ask('/anything', { key: null })).text).toBe('mine');
    for (const path of ['/healthz', '/readyz', '/docs', '/console/']) {
      expect((await door.ask(path, { key: null })).text).not.toBe('mine');
    }
    expect(await door.ask('/sutaz/v1/state', { key: null })).toMatchObject({ status: 401 });
    expect(await door.ask('/metrics')).toMatchObject({ text: 'metrics\n' });
  });

  it('is not reached under another path or name', async () => {
    await openWith(
      'routes: { s: { match: { path: /s/* }, with: [{ stripPrefix: /s }] }, h: { match: { host: h.lan }, with: [{ addPrefix: /sutaz }] } }',
    );
    expect(await door.ask('/s/sutaz/v1/state')).toMatchObject({ status: 404 });
    expect(await door.ask('/v1/state', { headers: { host: 'h.lan' } })).toMatchObject({ status: 404 });
  });
});

describe('a route by model', () => {
  const text = `routes:
  short: { match: { path: /v1/*, model: support-* }, to: { model: x }, with: [{ requestJson: { max: { max_tokens: 200 } } }] }
`;
  const chat = (body: object) => ({ method: 'POST', body: JSON.stringify(body) });

  it('puts its own model in, and changes nothing of other requests', async () => {
    await openWith(text);
    const { body } = await echoed('/v1/chat/completions', chat({ model: 'support-de', max_tokens: 999 }));
    expect(JSON.parse(body)).toEqual({ model: 'x', max_tokens: 200 });
    const other = '{ "model":"x", "max_tokens":999 }';
    expect((await echoed('/v1/chat/completions', { method: 'POST', body: other })).body).toBe(other);
  });

  it('asks for a key before it reads anything, and takes no body beyond the limit', async () => {
    await openWith(text);
    const asked = chat({ model: 'support-de' });
    expect(await door.ask('/v1/chat/completions', { ...asked, key: null })).toMatchObject({ status: 401 });
    const large = chat({ model: 'support-de', x: 'x'.repeat(2_000) });
    expect(await door.ask('/v1/chat/completions', large)).toMatchObject({ status: 413 });
  });
});

describe('headers', () => {
  it('of requests and answers are changed, those of an error too; the door keeps its own', async () => {
    await openWith(`routes:
  a:
    match: { path: /a/* }
    to: { service: x }
    with: [{ requestHeaders: { set: { X-Team: docs }, remove: [X-Debug] } }, { responseHeaders: { set: { X-By: us }, remove: [Server] } }]
`);
    const answer = await door.ask('/a/b', { headers: { 'x-debug': '1' } });
    expect(answer.headers).toMatchObject({ 'x-by': 'us', 'set-cookie': ['a=1', 'b=2'] });
    expect(answer.headers.server).toBeUndefined();
    expect(answer.headers['x-sutaz-trace-id']).toBeDefined();
    const { headers } = JSON.parse(answer.text) as Echoed;
    expect(headers).toMatchObject({ 'x-team': 'docs' });
    expect([headers['x-debug'], headers['x-sutaz-key']]).toEqual([undefined, undefined]);
  });
});

describe('fields in JSON', () => {
  const fields = (more = '') => `routes:
  a: { match: { path: /a/* }, to: { service: x }, with: [{ stripPrefix: /a }, { answerJson: { remove: [secret] } }${more}] }
`;

  it('of a request are changed, with its length; what is no JSON is refused', async () => {
    await openWith(fields(', { requestJson: { set: { b: 2 } } }'));
    const asked = { method: 'POST', headers: json };
    const { body, headers } = await echoed('/a/', { ...asked, body: '{"a": 1}' });
    expect([body, headers['content-length']]).toEqual(['{"a":1,"b":2}', '13']);
    for (const wrong of ['[1]', 'a=1', '{"a":'])
      expect((await door.ask('/a/', { ...asked, body: wrong })).status).toBe(400);
    const packed = { ...asked, headers: { ...json, 'content-encoding': 'gzip' }, body: '{}' };
    expect((await door.ask('/a/', packed)).status).toBe(400);
    expect((await echoed('/a/')).body).toBe('');
  });

  it('of an answer are changed in one piece, with its length', async () => {
    await openWith(fields());
    const { text, headers } = await door.ask('/a/', { headers: { 'accept-encoding': 'gzip', range: 'bytes=0-1' } });
    const seen = JSON.parse(text) as Echoed & { readonly secret?: number };
    expect(seen.secret).toBeUndefined();
    expect([seen.headers['accept-encoding'], seen.headers.range]).toEqual([undefined, undefined]);
    expect(Number(headers['content-length'])).toBe(Buffer.byteLength(text));
  });

  it('of a stream are changed event by event, as they come', async () => {
    let end = (): void => undefined;
    await openWith(fields(), (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write('data: {"secret":1,"a":1}\n');
      res.write('\ndata: {"secr');
      end = () => res.end('et":2,"b":2}\n\ndata: [DONE]\n\n');
    });
    const text = await new Promise<string>((resolve, reject) => {
      const headers = { host: `localhost:${door.port}`, 'x-sutaz-key': 'sutaz-admin' };
      const req = request({ port: door.port, path: '/a/', headers, agent: false }, (res) => {
        let all = '';
        res.on('data', (chunk: Buffer) => {
          all += chunk.toString();
          // The second one is only sent once the first is here.
          if (all === 'data: {"a":1}\n\n') end();
        });
        res.on('end', () => resolve(all));
      });
      req.on('error', reject).end();
    });
    expect(text).toBe('data: {"a":1}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n');
  });

  it.each([
    ['is no JSON', { 'content-type': 'application/json' }, '{"secret":'],
    ['is compressed', { 'content-type': 'application/json', 'content-encoding': 'gzip' }, 'xx'],
    ['is too large', { 'content-type': 'application/json' }, `{"secret":"${'x'.repeat(17 * 2 ** 20)}"}`],
  ])('of an answer that %s are never shown: it is told as a failure', async (_, headers, body) => {
    await openWith(fields(), (__, res) => res.writeHead(200, headers).end(body));
    const answer = await door.ask('/a/');
    expect(answer.status).toBe(502);
    expect(answer.text).not.toContain('secret":"');
  });

  it('are none of a list, of text, or of an error', async () => {
    let [status, type, body] = [200, 'application/json', '[{"secret":1}]'];
    await openWith(fields(), (_, res) => res.writeHead(status, { 'content-type': type }).end(body));
    expect((await door.ask('/a/')).text).toBe(body);
    [type, body] = ['text/plain', '{"secret":1}'];
    expect((await door.ask('/a/')).text).toBe(body);
    [status, type] = [404, 'application/json'];
    expect((await door.ask('/a/')).text).toBe(body);
  });

  it('of a chunked answer in one piece are changed, and what comes after it on the connection is right', async () => {
    await openWith(fields(), (_, res) => {
      res.writeHead(200, json);
      res.write('{"secret":1,');
      res.end('"a":1}');
    });
    for (let i = 0; i < 2; i++) expect((await door.ask('/a/')).text).toBe('{"a":1}');
  });

  it('answers a HEAD without a length that would be wrong', async () => {
    await openWith(fields(), (_, res) => res.writeHead(200, { ...json, 'content-length': '5' }).end());
    const answer = await door.ask('/a/', { method: 'HEAD' });
    expect([answer.status, answer.headers['content-length']]).toEqual([200, undefined]);
  });

  it("of an answer that the door makes are changed in the client's own API", async () => {
    await openWith('routes: { v: { match: { path: /v1/models }, with: [{ answerJson: { remove: [has_more] } }] } }');
    const { text } = await door.ask('/v1/models');
    expect(JSON.parse(text)).toEqual({ object: 'list', data: [], first_id: null, last_id: null });
  });
});

it("a module of one's own that fails on an answer is told by a status, and nothing of the answer is shown", async () => {
  const own: Middleware = {
    answerJson: () => {
      throw new Error('mine');
    },
  };
  const text = 'routes: { a: { match: { path: /a/* }, to: { service: x }, with: [{ use: mine.ts }] } }';
  await openWith(text, echo, { own });
  const answer = await door.ask('/a/');
  expect(answer.status).toBe(500);
  expect(answer.text).not.toContain('secret');
  await expect.poll(() => door.world.leases).toBe(0);
});

describe('by the rights of models', () => {
  const text = 'routes: { m: { match: { path: /v1/chat/completions }, to: { model: x } } }';
  it.each([
    ['models:use:x', 200],
    ['models:use:y', 403],
    ['services:use:x', 403],
  ])('a route with a model of its own answers a key with the scope %s with %i', async (scope, status) => {
    await openWith(text, echo, { scope });
    const asked = { method: 'POST', key: 'some', body: '{"model":"y"}' };
    expect((await door.ask('/v1/chat/completions', asked)).status).toBe(status);
  });
});

describe('a route elsewhere', () => {
  it('goes there without our key, by a scope of its own, and not for a session', async () => {
    const parsed = configSchema.parse({});
    door = await openDoor(echo);
    const { port } = door.upstream.address() as { readonly port: number };
    const text = `routes: { e: { match: { path: /e/* }, to: { url: "http://127.0.0.1:${port}/base" }, with: [{ stripPrefix: /e }] } }`;
    const given = parseStrict(text, 'sutaz.yaml', configSchema);
    const table = compileRoutes(given.ok ? given.value : parsed, () => ({}));
    const pickers = createPickers({
      clock: fakeClock(),
      policy: (unit) => {
        const { origin, pathname } = new URL(urlOfOutside(unit));
        const place = { url: urlOfOutside(unit), weight: 1, target: { origin, basePath: pathname, key: null } };
        return { ...plainPolicy, places: [place] };
      },
      check: () => Promise.resolve(null),
    });
    const front = await openDoor(echo, { routes: { table: () => table, outside: outsideWaker(pickers) } });
    const before = door;
    door = front;
    try {
      const { url, headers } = await echoed('/e/a?b=1');
      expect([url, headers['x-sutaz-key'], headers.host]).toEqual(['/base/a?b=1', undefined, `127.0.0.1:${port}`]);
      expect(await door.ask('/e/a', { key: null })).toMatchObject({ status: 401 });
      const session = door.sessions.redeem(door.sessions.ticket(admin).token);
      const cookie = { cookie: `sutaz_session=${session?.token}`, 'sec-fetch-site': 'same-origin' };
      expect(await door.ask('/e/a', { key: null, headers: cookie })).toMatchObject({ status: 403 });
    } finally {
      before.close();
    }
  });
});
