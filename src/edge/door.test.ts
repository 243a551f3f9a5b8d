import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Fault, faults } from '#kernel/faults';
import { openDoor } from './door.fake.ts';
import type { OpenDoor } from './door.fake.ts';
import { addressOf } from './door.ts';
import { openaiError, problemOf } from './errors.ts';

let door: OpenDoor;
afterEach(() => door.close());
const open = async (service: RequestListener = (_, res) => res.end('service'), more = {}) =>
  (door = await openDoor(service, more));

/** What a listener that gets these bytes answers, until it closes. */
async function raw(bytes: string): Promise<string> {
  const socket = connect(door.port, '127.0.0.1');
  let text = '';
  socket.on('data', (data) => (text += String(data)));
  socket.on('error', () => undefined);
  socket.write(bytes);
  await once(socket, 'close');
  return text;
}

const json = (text: string) => JSON.parse(text) as Record<string, Record<string, unknown>>;
const tick = () => new Promise((resolve) => setImmediate(resolve));
async function until(done: () => boolean): Promise<void> {
  while (!done()) await tick();
}

describe('the way in', () => {
  it.each([
    ['/healthz', null, 200],
    ['/readyz', null, 200],
    ['/', null, 200],
    ['/api/tags', null, 401],
    ['/api/tags', 'sutaz-use', 200],
    ['/api/nothing', 'sutaz-use', 404],
    ['/v1/messages/nothing', 'sutaz-use', 404],
    ['/console/', null, 200],
    ['/console/any/page', null, 200],
    ['/console/assets/none.js', null, 404],
    ['/metrics', null, 401],
    ['/sutaz/v1/state', null, 401],
    ['/sutaz/v1/state', 'wrong', 401],
    ['/sutaz/v1/state', 'sutaz-use', 200],
    ['/sutaz/v1/units/x/logs', 'sutaz-use', 403],
    ['/sutaz/v1/units/%zz', 'sutaz-use', 400],
    ['/sutaz/v1/units/y', 'sutaz-use', 404],
    ['/services/%zz/', 'sutaz-use', 400],
    ['/services/y/', 'sutaz-use', 404],
    ['/services/x', 'sutaz-use', 308],
    ['/services/x/', 'sutaz-use', 200],
    ['/v1/models', 'sutaz-use', 200],
    ['/v1/models/%zz', 'sutaz-use', 400],
    ['/v1/nothing', 'sutaz-use', 404],
    ['/nothing', 'sutaz-use', 404],
  ])('%s with the key %s answers %i', async (path, key, status) => {
    const { ask } = await open();
    expect((await ask(path, { key })).status).toBe(status);
  });

  it('names what an address takes', async () => {
    const { ask } = await open();
    for (const [path, allow] of [
      ['/v1/models', 'GET, HEAD'],
      ['/console/', 'GET, HEAD'],
      ['/sutaz/v1/state', 'GET'],
    ] as const)
      expect(await ask(path, { method: 'PUT' })).toMatchObject({ status: 405, headers: { allow } });
    expect(await ask('/v1/chat/completions')).toMatchObject({ status: 405, headers: { allow: 'POST' } });
  });

  it('regression: a service at its own host name keeps its own /healthz', async () => {
    const { ask } = await open();
    const headers = { host: 'x.localhost' };
    expect((await ask('/healthz', { headers })).text).toBe('service');
    expect((await ask('/healthz', { headers: { host: '10.1.2.3' } })).text).toBe('ok\n');
    expect((await ask('/metrics', { headers: { host: 'evil.example' } })).status).toBe(403);
  });

  it('regression: an offer of HTTP/2 is declined, not refused', async () => {
    const { ask } = await open();
    const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__' };
    expect((await ask('/v1/models', { headers })).status).toBe(200);
  });

  it('refuses an address that is none, and bytes that are no HTTP', async () => {
    await open();
    expect(await raw('OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
    expect(await raw('nonsense\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
    expect(await raw(`GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(30_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 431 /,
    );
  });

  it('regression: nonsense after an answer is not answered into it', async () => {
    await open();
    const text = await raw('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nnonsense\r\n\r\n');
    expect(text.match(/HTTP\/1.1/g)?.length ?? 0).toBeLessThanOrEqual(1);
  });

  it('shows people a page, with the same headers as programs get', async () => {
    const { ask } = await open();
    const page = await ask('/services/x/', { key: null, headers: { accept: 'text/html' } });
    expect(page).toMatchObject({ status: 401, headers: { 'www-authenticate': expect.any(String) } });
    expect(page.text).toContain('<h1>A key is needed</h1>');
  });
});

describe('an error', () => {
  it.each(Object.keys(faults) as (keyof typeof faults)[])('%s has its whole shape in both forms', async (code) => {
    await open();
    const fault = new Fault(code, 'why', { details: { status: 1, extra: 2 }, retryAfter: 3 });
    expect(problemOf(fault, 't')).toMatchObject({ status: faults[code].status, code, extra: 2, retryAfter: 3 });
    expect(openaiError(fault, 't')).toMatchObject({
      error: { message: 'why', type: expect.stringMatching(/_error$/), code: expect.stringMatching(/^[a-z_]+$/) },
    });
  });

  it('of a model that is not there is the one that its clients know', async () => {
    const { ask } = await open();
    const body = JSON.stringify({ model: 'y' });
    const { text, headers } = await ask('/v1/chat/completions', { method: 'POST', body });
    expect(json(text).error).toMatchObject({ code: 'model_not_found', param: 'model' });
    expect(headers['x-sutaz-trace-id']).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('a body', () => {
  const post = (body: string, headers = {}) => door.ask('/v1/completions', { method: 'POST', body, headers });

  it.each([
    ['', 400],
    ['{"model":', 400],
    ['[]', 400],
    ['{}', 400],
    ['{"model":1}', 400],
    [`{"model":"${'x'.repeat(1_000)}"}`, 413],
    ['{"model":"x"}', 200],
  ])('%.20s answers %i', async (body, status) => {
    await open();
    expect((await post(body)).status).toBe(status);
  });

  it('regression: one without a length that grows too large gets its 413', async () => {
    await open();
    const answer = await post('x'.repeat(200_000), { 'transfer-encoding': 'chunked' });
    expect(answer.status).toBe(413);
  });

  it('that is refused may be sent on for a while, and not for ever', async () => {
    const { port, clock } = await open();
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(
      'POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nx-sutaz-key: sutaz-use\r\ncontent-length: 9999\r\n\r\n',
    );
    expect(String(await once(socket, 'data'))).toMatch(/^HTTP\/1.1 413 /);
    clock.advance(5_000);
    await once(socket, 'close');
  });

  it('regression: a client that leaves in the middle of it is no fault of the platform', async () => {
    const { port, logged } = await open();
    const socket = connect(port, '127.0.0.1');
    socket.write(
      'POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nx-sutaz-key: sutaz-use\r\ncontent-length: 99\r\n\r\n{',
    );
    await once(socket, 'ready');
    await until(() => socket.bytesWritten > 0);
    await tick();
    socket.destroy();
    await once(socket, 'close');
    for (let i = 0; i < 20; i++) await tick();
    expect(logged).toEqual([]);
  });
});

describe('a service', () => {
  it('gets the request without what is ours, and its answer comes back', async () => {
    const { ask, world } = await open((req, res) => {
      res.setHeader('set-cookie', ['own=1', 'sutaz_session=stolen']);
      res.setHeader('x-got', JSON.stringify(req.headers));
      res.writeHead(201);
      req.pipe(res);
    });
    const answer = await ask('/services/x/a%2Fb?c=%20', { method: 'POST', body: 'text', headers: { cookie: 'a=1' } });
    expect(answer).toMatchObject({ status: 201, text: 'text', headers: { 'set-cookie': ['own=1'] } });
    expect(answer.headers['server-timing']).toMatch(/^queue;dur=/);
    expect(String(answer.headers['x-got'])).not.toContain('sutaz-admin');
    await until(() => world.leases === 0);
  });

  it.each([
    ['/login', '/services/x/login'],
    ['http://localhost:PORT/login?a', '/services/x/login?a'],
    ['ORIGIN/login', '/services/x/login'],
    ['ORIGIN', '/services/x/'],
    ['http://localhost:PORT.evil.example/', 'http://localhost:PORT.evil.example/'],
    ['https://elsewhere.example/', 'https://elsewhere.example/'],
  ])('that redirects to %s leads to %s', async (to, wanted) => {
    const { ask, port, world } = await open((req, res) => {
      const location = to.replace('PORT', String(door.port)).replace('ORIGIN', door.world.origin);
      res.writeHead(302, { location }).end(req.url);
    });
    expect(world.origin).toMatch(/^http/);
    const { headers } = await ask('/services/x/');
    expect(headers.location).toBe(wanted.replace('PORT', String(port)));
  });

  it.each(['HEAD', 'OPTIONS'])('answers %s itself', async (method) => {
    const { ask } = await open((req, res) => res.setHeader('x-method', req.method ?? '').end());
    expect((await ask('/services/x/', { method })).headers['x-method']).toBe(method);
  });

  it('that breaks off in the middle breaks off for its client too, and gives its lease back', async () => {
    const { ask, world } = await open((_, res) => {
      res.writeHead(200, { 'content-length': '99' }).write('half', () => res.destroy());
    });
    await expect(ask('/services/x/')).rejects.toThrow();
    await until(() => world.leases === 0);
  });

  it('that cannot be reached is 502, and the lease comes back', async () => {
    const { ask, world } = await open();
    world.origin = 'http://127.0.0.1:1';
    expect((await ask('/services/x/')).status).toBe(502);
    expect(world.leases).toBe(0);
  });

  it('hears at once of a client that leaves', async () => {
    const closed = Promise.withResolvers<void>();
    const leaving = new AbortController();
    const { ask, world } = await open((req, res) => {
      req.socket.on('close', () => closed.resolve());
      res.write('x');
      leaving.abort();
    });
    await expect(ask('/services/x/', { signal: leaving.signal })).rejects.toThrow();
    await closed.promise;
    await until(() => world.leases === 0);
  });

  it('regression: that refuses an upload before it was read has its refusal delivered', async () => {
    const { ask } = await open((_, res) => res.writeHead(413).end('too much'));
    const answer = await ask('/services/x/', { method: 'POST', body: Buffer.alloc(4 << 20) });
    expect(answer).toMatchObject({ status: 413, text: 'too much' });
  });

  it('an engine gets its own key, and never the caller’s', async () => {
    const { ask, world } = await open((req, res) => res.end(req.headers.authorization));
    world.key = 'engine';
    const headers = { authorization: 'Bearer sutaz-use' };
    const asking = { method: 'POST', key: null, headers, body: '{"model":"x"}' };
    expect((await ask('/v1/embeddings', asking)).text).toBe('Bearer engine');
  });
});

it('reads the address of a service', () => {
  expect(addressOf('/services/a%20b/c?d')).toEqual({ service: 'a b', path: '/c?d', prefix: '/services/a%20b' });
  expect(addressOf('/services/x?d')).toMatchObject({ path: '' });
  expect(addressOf('/services/')).toBeNull();
});
