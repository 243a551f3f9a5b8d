import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { createDamping } from '#security/damping';
import { principalWith } from '#security/principal.fake';
import { createSessions } from '#security/sessions';
import {
  authenticate as authenticateAtOnce,
  demandOwnHost,
  demandScope,
  demandService,
  serviceOfHost,
  setSession,
} from './auth.ts';
import type { Identity } from './auth.ts';
import { beginExchange } from './exchange.ts';
import { requestHeaders } from './headers.ts';
import { redeemTicket } from './services.ts';
import { byName } from './transport/fields.ts';

const admin = principalWith('admin');
const own = principalWith(null, ['services:use:x']);
const sessions = createSessions({ clock: fakeClock(), present: (principal) => principal });
const clock = fakeClock();
const flooded: string[] = [];
const identity: Identity = {
  ...{ sessions, hosts: () => [], onFlood: (address) => void flooded.push(address) },
  verifyKey: (key) => (key === 'sutaz-good' ? admin : null),
  damping: createDamping({ clock, tries: 3 }),
  tokens: { known: () => null, verify: async (token) => (token === 'good.to.ken' ? own : null) },
};

function exchangeWith(headers: Record<string, string>, url = '/', method = 'GET') {
  const req = new IncomingMessage(new Socket());
  Object.assign(req, { url, method });
  Object.assign(req.headers, { host: 'localhost:8080', ...headers });
  return beginExchange(req, new ServerResponse(req), 0);
}

/** Whatever it does at once or later. */
const authenticate = async (...given: Parameters<typeof authenticateAtOnce>) => authenticateAtOnce(...given);

const session = () => sessions.redeem(sessions.ticket(admin).token)?.token ?? '';
const code = (expected: string) => expect.objectContaining({ code: expected }) as Error;

describe('who asks', () => {
  it.each([
    ['X-Sutaz-Key', { 'x-sutaz-key': 'sutaz-good' }],
    ['Authorization', { authorization: 'bearer  sutaz-good ' }],
    ['x-api-key', { 'x-api-key': 'sutaz-good' }],
    ['all three', { 'x-sutaz-key': 'sutaz-good', authorization: 'Bearer sutaz-good', 'x-api-key': 'sutaz-good' }],
  ])('regression: the key in %s is known and never travels on', async (_, headers) => {
    const exchange = exchangeWith(headers);
    expect(await authenticate(exchange, identity)).toBe(admin);
    const sent = byName(requestHeaders(exchange, { prefix: '', key: null }));
    expect(JSON.stringify(sent)).not.toContain('sutaz-good');
  });

  it("leaves the service's own keys alone when ours came in a header of ours", async () => {
    const exchange = exchangeWith({ 'x-sutaz-key': 'sutaz-good', authorization: 'Bearer theirs', 'x-api-key': 'own' });
    await authenticate(exchange, identity);
    const sent = byName(requestHeaders(exchange, { prefix: '', key: null }));
    expect(sent).toMatchObject({ authorization: 'Bearer theirs', 'x-api-key': 'own' });
  });

  it('a wrong key is not made good by a session', async () => {
    const exchange = exchangeWith({ authorization: 'Bearer wrong', cookie: `sutaz_session=${session()}` });
    await expect(authenticate(exchange, identity)).rejects.toThrow(code('UNAUTHENTICATED'));
  });

  it('a session counts from a page of the same origin only', async () => {
    const cookie = `a=1; sutaz_session=${session()}`;
    const post = (origin: string) => exchangeWith({ cookie, origin }, '/', 'POST');
    expect(await authenticate(post('http://localhost:8080'), identity)).toEqual(admin);
    await expect(authenticate(post('http://x.localhost:8080'), identity)).rejects.toThrow(code('FORBIDDEN'));
    await expect(authenticate(exchangeWith({}), identity)).rejects.toThrow(code('UNAUTHENTICATED'));
  });

  it('a name that is not of the door is refused', () => {
    expect(() => demandOwnHost(exchangeWith({ host: 'evil.example' }).req, identity)).toThrow(code('FORBIDDEN'));
    expect(serviceOfHost(exchangeWith({ host: 'evil.example' }).req, identity)).toBeNull();
    expect(serviceOfHost(exchangeWith({ host: 'x.localhost:80' }).req, identity)).toBe('x');
  });

  it('too many wrong keys from one address wait; a right one does not, nor does who shows none', async () => {
    const shown = (key: string) => authenticate(exchangeWith({ authorization: `Bearer ${key}` }), identity);
    clock.advance(60_000);
    for (let i = 0; i < 3; i++) await expect(shown('sutaz-old')).rejects.toThrow(code('UNAUTHENTICATED'));
    expect(flooded).toEqual(['']);
    const refusal = expect.objectContaining({ code: 'RATE_LIMITED', retryAfter: 3 }) as Error;
    await expect(shown('sutaz-old')).rejects.toThrow(refusal);
    await expect(shown('good.to.ken')).rejects.toThrow(refusal);
    expect(await shown('sutaz-good')).toBe(admin);
    await expect(authenticate(exchangeWith({}), identity)).rejects.toThrow(code('UNAUTHENTICATED'));
    clock.advance(3_000);
    expect(await shown('good.to.ken')).toBe(own);
    expect(flooded).toHaveLength(1);
  });

  it('regression: behind a trusted proxy a wrong key damps the client that showed it, not everybody', async () => {
    const from = (address: string, key: string) => {
      const exchange = exchangeWith({ authorization: `Bearer ${key}` });
      return authenticate({ ...exchange, client: address }, identity);
    };
    for (let i = 0; i < 3; i++) await expect(from('203.0.113.7', 'old')).rejects.toThrow(code('UNAUTHENTICATED'));
    await expect(from('203.0.113.7', 'old')).rejects.toThrow(code('RATE_LIMITED'));
    await expect(from('203.0.113.8', 'old')).rejects.toThrow(code('UNAUTHENTICATED'));
  });

  it('rights reach what they stand for and no more', () => {
    const exchange = exchangeWith({});
    expect(() => demandScope(exchange, 'models:use')).toThrow(code('FORBIDDEN'));
    exchange.principal = own;
    demandService(exchange, 'x');
    expect(() => demandService(exchange, 'y')).toThrow(code('FORBIDDEN'));
    expect(() => demandScope(exchange, 'models:use')).toThrow(code('FORBIDDEN'));
    exchange.principal = principalWith('user');
    demandService(exchange, 'y');
    demandScope(exchange, 'models:use');
    expect(() => demandScope(exchange, 'keys')).toThrow(code('FORBIDDEN'));
  });
});

describe('a ticket in the address', () => {
  it('becomes a cookie once, and leaves the address', () => {
    const { token } = sessions.ticket(own);
    const exchange = exchangeWith({}, `/page?a=1&sutaz_ticket=${token}`);
    expect(redeemTicket(exchange, identity)).toBe(true);
    expect(headerOf(exchange.res, 'location')).toBe('/page?a=1');
    expect(headerOf(exchange.res, 'set-cookie')).toMatch(/^sutaz_session=.+; HttpOnly; SameSite=Lax$/);
    const again = exchangeWith({}, `/page?sutaz_ticket=${token}`);
    redeemTicket(again, identity);
    expect(headerOf(again.res, 'set-cookie')).toBeUndefined();
  });

  it.each(['//evil.example/', '/\\evil.example/', '\\\\evil.example/'])(
    'regression: %s leads to no other host',
    (path) => {
      const exchange = exchangeWith({}, `${path}?sutaz_ticket=x`);
      redeemTicket(exchange, identity);
      expect(headerOf(exchange.res, 'location')).toBe('/evil.example/');
    },
  );
});

/** A header of an answer whose head was written already: Node keeps it as text only. */
function headerOf(res: ServerResponse, name: string): string | undefined {
  const head = (res as unknown as { readonly _header: string })._header;
  return new RegExp(`^${name}: (.*?)\\r$`, 'im').exec(head)?.[1];
}

it('a session that was begun over TLS is sent over nothing else', () => {
  const peer = { address: '127.0.0.1', trusted: false, local: true };
  const plain = setSession({ peer: { ...peer, secure: false } }, 'token', 'Strict');
  expect(plain).toBe('sutaz_session=token; Path=/; HttpOnly; SameSite=Strict');
  expect(setSession({ peer: { ...peer, secure: true } }, 'token', 'Lax')).toMatch(/SameSite=Lax; Secure$/);
});
