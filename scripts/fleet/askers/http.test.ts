import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSession, textAt } from './http.ts';

const { signal } = new AbortController();

describe('a session with a service', () => {
  const seen: { readonly path: string | undefined; readonly cookie: string | undefined; readonly key: unknown }[] = [];
  const server = createServer(({ url, headers }, res) => {
    seen.push({ path: url, cookie: headers.cookie, key: headers['x-sutaz-key'] });
    if (url === '/services/a/refused') return void res.writeHead(403).end('not yours');
    res.setHeader('set-cookie', ['session=1; Path=/; HttpOnly', 'csrf=a=b']).end('{"id":"7"}');
  });
  let base: string;
  beforeEach(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/services/a`;
  });
  afterEach(() => void server.close());

  it('sends back the cookies that it was given, with the key of the door', async () => {
    const { call } = createSession(base, 'key', signal);
    expect(await call('POST', '/login', {})).toEqual({ id: '7' });
    await call('GET', '/page');
    expect(seen.map(({ cookie }) => cookie)).toEqual(['', 'session=1; csrf=a=b']);
    expect(seen.map(({ key }) => key)).toEqual(['key', 'key']);
    await expect(call('GET', '/refused')).rejects.toThrow('GET /refused answered 403: not yours');
  });
});

describe('a socket to a service', () => {
  const server = createServer();
  afterEach(() => void server.close());

  it('has the key of the door, and is over when the session is called off', async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const upgrade = once(server, 'upgrade') as Promise<[IncomingMessage, Socket]>;
    const off = new AbortController();
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/services/a`;
    const socket = createSession(base, 'key', off.signal).connect('/ws');
    const [{ url, headers }, connection] = await upgrade;
    expect([url, headers['x-sutaz-key']]).toEqual(['/services/a/ws', 'key']);
    const closed = once(socket, 'close');
    off.abort();
    connection.destroy();
    await closed;
  });
});

describe('what stands at a place of an answer', () => {
  it('is text, or an error with the whole', () => {
    expect(textAt({ data: { id: 'a' } }, 'data', 'id')).toBe('a');
    expect(() => textAt({ data: null }, 'data', 'id')).toThrow('nothing at data.id: {"data":null}');
    expect(() => textAt({ id: 1 }, 'id')).toThrow('nothing at id: {"id":1}');
  });
});
