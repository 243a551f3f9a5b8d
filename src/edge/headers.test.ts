import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { beginExchange } from './exchange.ts';
import * as headers from './headers.ts';
import { serverTiming, wantsPage } from './headers.ts';
import { byName } from './transport/fields.ts';

const requestHeaders = (...args: Parameters<typeof headers.requestHeaders>) => byName(headers.requestHeaders(...args));
const responseHeaders = (...args: Parameters<typeof headers.responseHeaders>) =>
  byName(headers.responseHeaders(...args));

function exchangeWith(headers: Record<string, string>) {
  const req = new IncomingMessage(new Socket());
  Object.assign(req.headers, headers);
  req.method = 'GET';
  return beginExchange(req, new ServerResponse(req), 0);
}
const onward = { prefix: '/services/x', key: null };

describe('what travels on to a service', () => {
  it('leaves our keys and cookies and what is of the connection behind', () => {
    const exchange = exchangeWith({
      authorization: 'Bearer sutaz-secret',
      'x-sutaz-key': 'sutaz-secret',
      'x-sutaz-console': '1',
      cookie: 'a=1; sutaz_session=secret; b=2',
      connection: 'keep-alive, X-Private',
      'x-private': 'secret',
      'transfer-encoding': 'chunked',
      te: 'trailers',
      'x-forwarded-for': '6.6.6.6',
    });
    exchange.keyInAuthorization = true;
    const sent = requestHeaders(exchange, onward);
    expect(JSON.stringify(sent)).not.toContain('secret');
    expect(sent.cookie).toBe('a=1; b=2');
    for (const name of ['connection', 'transfer-encoding', 'te', 'x-sutaz-console'])
      expect(sent).not.toHaveProperty(name);
    expect(sent).toMatchObject({ 'x-forwarded-for': 'unknown', 'x-forwarded-prefix': '/services/x' });
    expect(sent.traceparent).toMatch(new RegExp(`^00-${exchange.traceId}-[0-9a-f]{16}-01$`));
  });

  it("keeps the service's own Authorization, and replaces it for an engine that has a key", () => {
    const exchange = exchangeWith({ authorization: 'Basic own', cookie: 'sutaz_session=only' });
    expect(requestHeaders(exchange, onward)).toMatchObject({ authorization: 'Basic own' });
    expect(requestHeaders(exchange, onward)).not.toHaveProperty('cookie');
    expect(requestHeaders(exchange, { ...onward, key: 'engine' }).authorization).toBe('Bearer engine');
  });

  it("keeps a caller's trace", () => {
    const traceId = 'a'.repeat(32);
    expect(exchangeWith({ traceparent: `00-${traceId}-${'b'.repeat(16)}-01` }).traceId).toBe(traceId);
    expect(exchangeWith({ traceparent: `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01` }).traceId).not.toBe('0'.repeat(32));
  });
});

describe('what comes back', () => {
  it('keeps redirects within the prefix, and only those that are of the service', () => {
    const exchange = exchangeWith({});
    const location = (value: string) => responseHeaders(['location', value], exchange, '/services/x').location;
    expect(location('/login')).toBe('/services/x/login');
    expect(location('https://elsewhere.example/')).toBe('https://elsewhere.example/');
    expect(location('//elsewhere.example/')).toBe('//elsewhere.example/');
    expect(responseHeaders(['location', '/login'], exchange, '').location).toBe('/login');
  });

  it('keeps several cookies apart, and none that is called as ours are', () => {
    const cookies = ['set-cookie', 'a=1', 'set-cookie', 'sutaz_session=x', 'set-cookie', 'b=2'];
    const sent = responseHeaders([...cookies, 'server-timing', 'x'], exchangeWith({}), '');
    expect(sent['set-cookie']).toEqual(['a=1', 'b=2']);
    expect(sent).not.toHaveProperty('server-timing');
  });

  it('says where the time went', () => {
    expect(serverTiming(0, 812.34, 5)).toBe('queue;dur=0.0, wake;dur=812.3, upstream;dur=5.0');
  });
});

it('a page is for browsers that ask for one', () => {
  expect(wantsPage(exchangeWith({ accept: 'text/html,*/*' }).req)).toBe(true);
  expect(wantsPage(exchangeWith({ accept: '*/*' }).req)).toBe(false);
});
