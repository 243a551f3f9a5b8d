import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';
import { converse } from './_raw.ts';

let platform: TestPlatform;

beforeAll(async () => {
  platform = await startPlatform({
    catalog: { 'services/echo.yaml': echoService('echo', { dir: `${root}/test` }) },
  });
  expect((await platform.fetch('/services/echo/')).status).toBe(200);
});
afterAll(() => platform.stop());

const to = (path: string, ...headers: string[]) =>
  [
    `POST /services/echo${path} HTTP/1.1`,
    'Host: localhost',
    `Authorization: Bearer ${platform.key}`,
    ...headers,
    '',
    '',
  ].join('\r\n');
const next = () => `GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;

/**
 * Every request is sent with another behind it on the same connection. `refused` is one answer with the status and the end
 * of the connection: what is behind it might be a part of it. `taken` is both answers.
 */
type Case = readonly [what: string, request: () => string, status: number, fate: 'refused' | 'taken'];

const cases: readonly Case[] = [
  [
    'Content-Length and Transfer-Encoding',
    () => `${to('/', 'Content-Length: 4', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
    400,
    'refused',
  ],
  [
    'Transfer-Encoding and Content-Length',
    () => `${to('/', 'Transfer-Encoding: chunked', 'Content-Length: 4')}0\r\n\r\n`,
    400,
    'refused',
  ],
  ['two Content-Lengths that differ', () => `${to('/', 'Content-Length: 2', 'Content-Length: 3')}hi!`, 400, 'refused'],
  ['two Content-Lengths that agree', () => `${to('/', 'Content-Length: 2', 'Content-Length: 2')}hi`, 400, 'refused'],
  ['a list of Content-Lengths', () => `${to('/', 'Content-Length: 2, 2')}hi`, 400, 'refused'],
  ['a Content-Length with a sign', () => `${to('/', 'Content-Length: +2')}hi`, 400, 'refused'],
  ['a negative Content-Length', () => `${to('/', 'Content-Length: -2')}hi`, 400, 'refused'],
  ['a Content-Length in hex', () => `${to('/', 'Content-Length: 0x2')}hi`, 400, 'refused'],
  ['a Content-Length of no number', () => `${to('/', 'Content-Length: ')}`, 400, 'refused'],
  ['a Content-Length beyond 64 bits', () => `${to('/', 'Content-Length: 18446744073709551618')}hi`, 400, 'refused'],
  ['a coding after chunked', () => `${to('/', 'Transfer-Encoding: chunked, identity')}0\r\n\r\n`, 400, 'refused'],
  ['a coding that is not known', () => `${to('/', 'Transfer-Encoding: xchunked')}0\r\n\r\n`, 400, 'refused'],
  ['a coding before chunked', () => `${to('/', 'Transfer-Encoding: gzip, chunked')}0\r\n\r\n`, 501, 'taken'],
  [
    'chunked twice',
    () => `${to('/', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
    400,
    'refused',
  ],
  ['chunked behind a vertical tab', () => `${to('/', 'Transfer-Encoding: \x0bchunked')}0\r\n\r\n`, 400, 'refused'],
  ['whitespace before the colon', () => `${to('/', 'Content-Length : 2')}hi`, 400, 'refused'],
  [
    'whitespace before the first header',
    () => `POST /services/echo/ HTTP/1.1\r\n Host: localhost\r\n\r\n`,
    400,
    'refused',
  ],
  ['a folded header', () => `${to('/', 'X-Folded: a', ' b')}`, 400, 'refused'],
  ['a header without a name', () => `${to('/', ': a')}`, 400, 'refused'],
  ['a header without a colon', () => `${to('/', 'nonsense')}`, 400, 'refused'],
  ['a NUL in a header', () => `${to('/', 'X: a\0b')}`, 400, 'refused'],
  ['a CR within a header', () => `${to('/', 'X: a\rTransfer-Encoding: chunked')}`, 400, 'refused'],
  ['a line that ends in LF alone', () => to('/').replace('HTTP/1.1\r\n', 'HTTP/1.1\n'), 400, 'refused'],
  ['headers that end in LF alone', () => to('/', 'X: a').replaceAll('\r\n', '\n'), 400, 'refused'],
  ['an empty line of LF alone', () => to('/').replace(/\r\n$/, '\n'), 400, 'refused'],
  ['no Host', () => `GET /healthz HTTP/1.1\r\n\r\n`, 400, 'refused'],
  ['two Hosts', () => `${to('/', 'Host: elsewhere')}`, 400, 'taken'],
  [
    'HTTP/1.0 with a transfer-encoding',
    () => `${to('/', 'Transfer-Encoding: chunked').replace('1.1', '1.0')}0\r\n\r\n`,
    400,
    'refused',
  ],
  ['a version that is none', () => to('/').replace('1.1', '1.9'), 400, 'refused'],
  ['HTTP/2 in a request line', () => to('/').replace('1.1', '2.0'), 400, 'refused'],
  ['two spaces in the request line', () => to('/').replace(' /services', '  /services'), 200, 'taken'],
  ['a tab in the request line', () => to('/').replace(' /services', '\t/services'), 400, 'refused'],
  ['a method that is none', () => to('/').replace('POST', 'P0ST'), 400, 'refused'],
  ['a space in the address', () => to('/a b'), 400, 'refused'],
  ['a fragment in the address', () => to('/a#b'), 400, 'taken'],
  ['a control character in the address', () => to('/a\x01b'), 400, 'refused'],
  ['an asterisk', () => to('/').replace('/services/echo/', '*').replace('POST', 'OPTIONS'), 400, 'taken'],
  ['CONNECT', () => 'CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n', 405, 'refused'],
  ['a chunk size of no number', () => `${to('/', 'Transfer-Encoding: chunked')}x\r\n\r\n`, 400, 'refused'],
  ['a chunk size with a sign', () => `${to('/', 'Transfer-Encoding: chunked')}+2\r\nhi\r\n0\r\n\r\n`, 400, 'refused'],
  ['a chunk size in 0x', () => `${to('/', 'Transfer-Encoding: chunked')}0x2\r\nhi\r\n0\r\n\r\n`, 400, 'refused'],
  [
    'a chunk size beyond 64 bits',
    () => `${to('/', 'Transfer-Encoding: chunked')}fffffffffffffffff\r\nhi\r\n0\r\n\r\n`,
    400,
    'refused',
  ],
  [
    'a chunk that is longer than it says',
    () => `${to('/', 'Transfer-Encoding: chunked')}2\r\nhi!\r\n0\r\n\r\n`,
    400,
    'refused',
  ],
  [
    'a chunk size that ends in LF alone',
    () => `${to('/', 'Transfer-Encoding: chunked')}2\nhi\r\n0\r\n\r\n`,
    400,
    'refused',
  ],
  [
    'a chunk extension with LF alone',
    () => `${to('/', 'Transfer-Encoding: chunked')}2;a\nhi\r\n0\r\n\r\n`,
    400,
    'refused',
  ],
  ['chunk extensions', () => `${to('/', 'Transfer-Encoding: chunked')}2;a=1;b="c"\r\nhi\r\n0;d\r\n\r\n`, 200, 'taken'],
  [
    'trailers',
    () => `${to('/', 'Transfer-Encoding: chunked', 'Trailer: X-Sum')}2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n`,
    200,
    'taken',
  ],
  [
    'a Content-Length in a trailer',
    () => `${to('/', 'Transfer-Encoding: chunked')}2\r\nhi\r\n0\r\nContent-Length: 9\r\n\r\n`,
    400,
    'refused',
  ],
  ['an empty line before the request', () => `\r\n${to('/', 'Content-Length: 2')}hi`, 200, 'taken'],
  ['a Content-Length with zeroes', () => `${to('/', 'Content-Length: 0002')}hi`, 200, 'taken'],
  ['GET with a body', () => `${to('/', 'Content-Length: 2').replace('POST', 'GET')}hi`, 200, 'taken'],
  ['an address with its server', () => to('/').replace('/services', 'http://localhost/services'), 200, 'taken'],
  ['an address of another server', () => to('/').replace('/services', 'http://elsewhere/services'), 403, 'taken'],
  ['an address with a user', () => to('/').replace('/services', 'http://me@localhost/services'), 400, 'taken'],
  ['an address of nothing', () => to('/').replace('/services/echo/', 'services'), 400, 'refused'],
  ['an expectation that nobody can meet', () => `${to('/', 'Content-Length: 2', 'Expect: rain')}hi`, 417, 'taken'],
  ['many headers', () => to('/', ...Array.from({ length: 200 }, (_, i) => `X-${i}: 1`)), 431, 'refused'],
  ['headers of a megabyte', () => to('/', `X: ${'x'.repeat(2 ** 20)}`), 431, 'refused'],
  ['an address that is too long', () => to(`/${'x'.repeat(10_000)}`), 414, 'taken'],
  ['an address of a megabyte', () => to(`/${'x'.repeat(2 ** 20)}`), 414, 'refused'],
];

describe('HTTP/1.1', () => {
  it.each(cases)('%s', async (_, request, status, fate) => {
    const { statuses, text } = await converse(platform.port, [request(), next()]);
    const expected = fate === 'taken' ? [status, 200] : [status];
    expect(statuses, text).toEqual(expected);
  });

  it('answers HEAD without a body, and what is behind it', async () => {
    const head = to('/').replace('POST', 'HEAD');
    const { statuses, whole, text } = await converse(platform.port, [head, next()], { heads: [true] });
    expect([statuses, whole], text).toEqual([[200, 200], true]);
  });

  it('answers pipelined requests in their order, the slow one first', async () => {
    const slow = to('/slow?ms=200', 'Content-Length: 0');
    const { text, statuses, whole } = await converse(platform.port, [slow + slow + next()]);
    expect([statuses, whole]).toEqual([[200, 200, 200], true]);
    expect(text.lastIndexOf('late')).toBeLessThan(text.indexOf('ok\n'));
  });

  it('takes a client that has closed its side for one that left', async () => {
    const before = await closedBodies();
    const { text } = await converse(platform.port, [to('/slow?ms=60000', 'Content-Length: 0')], { end: true });
    expect(text).toBe('');
    await until(async () => (await closedBodies()) > before, 'the service to be told');
  });

  it('takes a body that its client leaves in the middle for no request', async () => {
    const { statuses } = await converse(platform.port, [`${to('/', 'Content-Length: 10')}hi`], { end: true });
    expect(statuses).not.toContain(200);
  });

  it('sends 100 Continue once, when the request is admitted, and the answer after the body', async () => {
    const asked = to('/', 'Content-Length: 2', 'Expect: 100-continue');
    const { statuses, whole, text } = await converse(platform.port, [
      asked,
      { until: '100 Continue\r\n\r\n' },
      'hi',
      next(),
    ]);
    expect([statuses, whole], text).toEqual([[100, 200, 200], true]);
  });

  it.each([
    ['a wrong key', (text: string) => text.replace(/Bearer \S+/, 'Bearer wrong'), 401],
    [
      'a body that is too large',
      (text: string) => text.replace('/services/echo/', '/v1/embeddings').replace(': 2', ': 99999999'),
      413,
    ],
    ['a service that is not there', (text: string) => text.replace('echo', 'nothing'), 404],
  ])('refuses %s before the body is sent, and takes nothing for another request', async (_, change, status) => {
    const asked = change(to('/', 'Content-Length: 2', 'Expect: 100-continue'));
    const { statuses, text } = await converse(platform.port, [asked, { until: '\r\n\r\n' }, next()]);
    expect(statuses).toEqual([status]);
    expect(text).toMatch(/^connection: close\r$/im);
  });

  it('answers early when the body is refused, and does not take the rest of it for a request', async () => {
    const asked = to('/', 'Content-Length: 40000000').replace('/services/echo/', '/v1/embeddings');
    const { statuses } = await converse(platform.port, [asked, 'x'.repeat(100_000), next()]);
    expect(statuses[0]).toBe(413);
    expect(statuses).not.toContain(200);
  });
});

const closedBodies = async () => Number(await (await platform.fetch('/services/echo/closed')).text());
