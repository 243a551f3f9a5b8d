import { afterEach, describe, expect, it } from 'vitest';
import { Fault } from '#kernel/faults';
import { principalWith } from '#security/principal.fake';
import { openDoor } from './door.fake.ts';
import type { OpenDoor } from './door.fake.ts';

let door: OpenDoor;
afterEach(() => door.close());
const open = async (control: Partial<OpenDoor['control']> = {}) => {
  door = await openDoor((_, res) => res.end());
  Object.assign(door.control, control);
  return door;
};
const tick = () => new Promise((resolve) => setImmediate(resolve));
const start = '/sutaz/v1/units/x/start';

describe('a start', () => {
  it('that nobody waits for is accepted, and its failure is nobody’s', async () => {
    const { ask } = await open({ start: async () => Promise.reject(new Error('later')) });
    expect((await ask(start, { method: 'POST' })).status).toBe(202);
    await tick();
  });

  it('that cannot be is refused, waited for or not', async () => {
    const { ask } = await open({
      start: () => {
        throw new Fault('CONFLICT', 'cannot run here');
      },
    });
    expect((await ask(start, { method: 'POST' })).status).toBe(409);
    expect((await ask(`${start}?wait=true`, { method: 'POST' })).status).toBe(409);
  });

  it('tells its progress, each once, and its end', async () => {
    const work = Promise.withResolvers<void>();
    const { ask, clock } = await open({ start: () => work.promise });
    const asked = ask(`${start}?wait=true`, { method: 'POST' });
    while (clock.pending === 0) await tick();
    for (let i = 0; i < 4; i++) {
      clock.advance(250);
      await tick();
    }
    work.resolve();
    const { text } = await asked;
    expect(text.match(/event: progress/g)).toHaveLength(1);
    expect(text).toMatch(/event: done\ndata: \{.*\}\n\n$/);
    expect(clock.pending).toBe(0);
  });

  it('regression: of a unit whose definition goes meanwhile ends in its error, and ends nothing else', async () => {
    const work = Promise.withResolvers<void>();
    const { ask, clock, control } = await open({ start: () => work.promise });
    const asked = ask(`${start}?wait=true`, { method: 'POST' });
    while (clock.pending === 0) await tick();
    control.unit = () => {
      throw new Fault('NOT_FOUND', 'gone');
    };
    clock.advance(250);
    await tick();
    work.reject(new Fault('NOT_FOUND', 'gone'));
    expect((await asked).text).toMatch(/^event: error\ndata: .*"code":"NOT_FOUND"/);
  });
});

describe('logs', () => {
  it.each(['?lines=2', '?lines=nonsense', ''])('%s are lines of text', async (query) => {
    const { ask } = await open();
    expect(await ask(`/sutaz/v1/units/x/logs${query}`)).toMatchObject({ status: 200, text: 'one\ntwo\n' });
  });

  it('regression: that are followed by a slow client leave no listeners, and end when it leaves', async () => {
    let ended = false;
    const leaving = new AbortController();
    let written = 0;
    const { ask } = await open({
      async *followLogs(_id, _lines, signal) {
        try {
          while (!signal.aborted) {
            written++;
            yield 'x'.repeat(1 << 16);
          }
        } finally {
          ended = true;
        }
      },
    });
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    const asked = ask('/sutaz/v1/units/x/logs?follow=true', { signal: leaving.signal });
    while (written < 100) await tick();
    leaving.abort();
    await expect(asked).rejects.toThrow();
    while (!ended) await tick();
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });
});

describe('the console', () => {
  it('opens by a link that is good once', async () => {
    const { ask } = await open();
    const { text } = await ask('/sutaz/v1/console-links', { method: 'POST' });
    const { pathname, search } = new URL((JSON.parse(text) as { url: string }).url);
    const opened = await ask(pathname + search, { key: null });
    expect(opened).toMatchObject({ status: 303, headers: { location: '/console/' } });
    const cookie = String(opened.headers['set-cookie']).split(';')[0] ?? '';
    expect((await ask('/sutaz/v1/state', { key: null, headers: { cookie } })).status).toBe(200);
    const cross = { cookie, origin: 'http://x.localhost', 'sec-fetch-site': 'same-site' };
    expect((await ask(start, { method: 'POST', key: null, headers: cross })).status).toBe(403);
    expect((await ask(pathname + search, { key: null })).status).toBe(401);
  });

  it.each(['/console/../../etc/passwd', '/console/%2e%2e/%2e%2e/etc/passwd', '/console/..%2f..%2fetc/passwd'])(
    'has no file at %s',
    async (path) => {
      const { ask } = await open();
      const { status, text } = await ask(path, { key: null });
      expect([status, text]).toEqual([200, '<page>']);
    },
  );

  it('is not sent again to who has it, and HEAD has no body', async () => {
    const { ask } = await open();
    const { status, text } = await ask('/console/', { headers: { 'if-none-match': '"1"' } });
    expect([status, text]).toEqual([304, '']);
    expect(await ask('/console/', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
    const { headers } = await ask('/console/');
    expect(headers['content-security-policy']).toContain("default-src 'self'");
  });
});

it('a page of a service is moved from the door to a host of its own, and stays apart from the console', async () => {
  const { ask, sessions, port } = await open();
  const session = sessions.redeem(sessions.ticket(principalWith('admin')).token)?.token;
  const headers = { cookie: `sutaz_session=${session}` };
  const moved = await ask('/services/x/page?a=1', { key: null, headers });
  const location = new URL(String(moved.headers.location));
  expect(location.host).toBe(`x.localhost:${port}`);
  const host = location.host;
  const redeemed = await ask(location.pathname + location.search, { key: null, headers: { host } });
  expect(redeemed.headers.location).toBe('/page?a=1');
  const cookie = String(redeemed.headers['set-cookie']).split(';')[0] ?? '';
  const own = { cookie, host, authorization: 'Bearer its-own-token' };
  expect((await ask('/page', { key: null, headers: own })).status).toBe(200);
  expect((await ask('/page', { key: null, headers: { ...own, host: 'y.localhost' } })).status).toBe(403);
  expect((await ask('/sutaz/v1/state', { key: null, headers: { cookie } })).status).toBe(403);
});

describe('explanations', () => {
  it.each(['/sutaz/v1/ledger', '/sutaz/v1/savings', '/sutaz/v1/upstreams', '/sutaz/v1/units/x/why'])(
    '%s may be read by whoever may use',
    async (path) => {
      const { ask } = await open();
      expect((await ask(path, { key: 'sutaz-use' })).status).toBe(200);
      expect((await ask(path, { key: null })).status).toBe(401);
      expect((await ask(path, { method: 'POST' })).status).toBe(405);
    },
  );

  it('a plan is asked for with names, and perhaps under another limit', async () => {
    const { ask } = await open();
    const { status, text } = await ask('/sutaz/v1/plan?unit=a%3Ab&unit=c&limit=5', { key: 'sutaz-use' });
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({ elsewhere: ['a:b', 'c'], limitBytes: 5 });
    for (const query of ['', '?unit=', '?unit=a&limit=much', '?unit=a&limit=0', '?unit=a&limit=']) {
      expect((await ask(`/sutaz/v1/plan${query}`)).status).toBe(400);
    }
  });

  it('of a name that is not there is told as such', async () => {
    const { ask } = await open();
    expect((await ask('/sutaz/v1/units/y/why')).status).toBe(404);
  });
});
