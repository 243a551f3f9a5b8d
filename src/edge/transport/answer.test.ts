import { request } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { once } from 'node:events';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAnswerParser } from './answer.ts';
import { Malformed } from './fields.ts';

interface Read {
  status: number;
  headers: string[];
  body: string;
  /** Whether the connection may be used again; null while it is not whole. */
  keeps: boolean | null;
}

/** What the parser makes of bytes that come in these pieces; `closed` says that the connection ended after them. */
function parse(pieces: readonly Buffer[], closed = false, method = 'GET'): Read {
  const read: Read = { status: 0, headers: [], body: '', keeps: null };
  const parser = createAnswerParser({
    head: ({ status, headers }) => Object.assign(read, { status, headers: [...headers] }),
    data(bytes, from, to) {
      read.body += bytes.toString('latin1', from, to);
      return true;
    },
    end: (keeps) => void (read.keeps = keeps),
  });
  parser.expect(method);
  for (const piece of pieces) parser.take(piece);
  if (closed) parser.close();
  return read;
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const http = (...lines: string[]): string => lines.join('\r\n');

/** Runs it with the text in one piece, in two at every place, and byte by byte. */
function everyWay(text: string, judge: (pieces: readonly Buffer[]) => void): void {
  judge([bytes(text)]);
  for (let at = 1; at < text.length; at++) judge([bytes(text.slice(0, at)), bytes(text.slice(at))]);
  judge([...text].map(bytes));
}

describe('an answer is read, wherever it is cut', () => {
  it.each<[string, string, Partial<Read>, string?]>([
    ['with a length', http('HTTP/1.1 200 OK', 'Content-Length: 5', '', 'hello'), { body: 'hello', keeps: true }],
    ['with none', http('HTTP/1.1 200 OK', 'content-length: 0', '', ''), { body: '', keeps: true }],
    ['without a reason', http('HTTP/1.1 200', 'content-length: 0', '', ''), { status: 200, keeps: true }],
    [
      'in chunks',
      http('HTTP/1.1 200 OK', 'Transfer-Encoding: Chunked', '', '5', 'hello', '06', ' there', '0', '', ''),
      { body: 'hello there', keeps: true },
    ],
    [
      'in chunks with extensions and trailers',
      http(
        ...['HTTP/1.1 200 OK', 'transfer-encoding: chunked', '', '5;a=b;c="d"', 'hello', '0;x', 'Digest: 1', 'B: 2'],
        ...['', ''],
      ),
      { body: 'hello', keeps: true, headers: [] },
    ],
    [
      'after interim ones',
      http('HTTP/1.1 100 Continue', '', 'HTTP/1.1 103 Early', 'link: x', '', 'HTTP/1.1 204 No', '', ''),
      { status: 204, keeps: true },
    ],
    ['to HEAD', http('HTTP/1.1 200 OK', 'content-length: 5', '', ''), { body: '', keeps: true }, 'HEAD'],
    ['to HEAD, chunked', http('HTTP/1.1 200 OK', 'transfer-encoding: chunked', '', ''), { keeps: true }, 'HEAD'],
    ['not modified', http('HTTP/1.1 304 N', 'content-length: 5', '', ''), { status: 304, body: '', keeps: true }],
    ['that closes', http('HTTP/1.1 200 OK', 'connection: Close', 'content-length: 1', '', 'x'), { keeps: false }],
    ['of HTTP/1.0', http('HTTP/1.0 200 OK', 'content-length: 1', '', 'x'), { body: 'x', keeps: false }],
    [
      'of HTTP/1.0 that stays',
      http('HTTP/1.0 200 OK', 'connection: keep-alive', 'content-length: 1', '', 'x'),
      { keeps: true },
    ],
    [
      'with values of all kinds',
      http('HTTP/1.1 200 OK', 'A: \t x y \t', 'B:', 'a:2', 'U: n', 'c: \xe9', 'content-length: 0', '', ''),
      { headers: ['a', 'x y', 'b', '', 'a', '2', 'u', 'n', 'c', '\xe9', 'content-length', '0'] },
    ],
    [
      'without what is of the connection',
      http(
        'HTTP/1.1 200 OK',
        'Connection: keep-alive, X-Own',
        'X-Own: 1',
        'Keep-Alive: timeout=5',
        'Z: 1',
        'content-length: 0',
        '',
        '',
      ),
      { headers: ['z', '1', 'content-length', '0'], keeps: true },
    ],
  ])('%s', (_, text, wanted, method) =>
    everyWay(text, (pieces) => expect(parse(pieces, false, method)).toMatchObject(wanted)),
  );

  it('that ends with its connection', () => {
    everyWay(http('HTTP/1.1 200 OK', '', 'all of it'), (pieces) => {
      expect(parse(pieces)).toMatchObject({ body: 'all of it', keeps: null });
      expect(parse(pieces, true)).toMatchObject({ body: 'all of it', keeps: false });
    });
  });
});

describe('what is not clear is refused, wherever it is cut', () => {
  const ok = 'HTTP/1.1 200 OK';
  const chunks = ['transfer-encoding: chunked', ''];
  it.each([
    ['no HTTP', http('SSH-2.0-OpenSSH', '', '')],
    ['another version', http('HTTP/2.0 200 OK', '', '')],
    ['no status', http('HTTP/1.1 OK', '', '')],
    ['an interim answer of HTTP/1.0', http('HTTP/1.0 100 Continue', '', ok, 'content-length: 0', '', '')],
    ['a status of two digits', http('HTTP/1.1 20 OK', '', '')],
    ['an odd reason', http('HTTP/1.1 200 O\0K', '', '')],
    ['a blank before it', http(' HTTP/1.1 200 OK', '', '')],
    ['another protocol', http('HTTP/1.1 101 Switching', 'upgrade: x', '', '')],
    ['two lengths', http(ok, 'content-length: 1', 'content-length: 2', '', 'x')],
    ['two lengths alike', http(ok, 'content-length: 1', 'content-length: 1', '', 'x')],
    ['lengths in one line', http(ok, 'content-length: 1, 1', '', 'x')],
    ['a negative length', http(ok, 'content-length: -1', '', 'x')],
    ['a length in hexadecimal', http(ok, 'content-length: 0x1', '', 'x')],
    ['a length with a sign', http(ok, 'content-length: +1', '', 'x')],
    ['an endless length', http(ok, `content-length: ${'9'.repeat(20)}`, '', 'x')],
    ['a length and chunks', http(ok, 'content-length: 1', ...chunks, '1', 'x', '0', '', '')],
    ['another coding', http(ok, 'transfer-encoding: gzip, chunked', '', '0', '', '')],
    ['another coding in a line of its own', http(ok, 'transfer-encoding: gzip', ...chunks, '0', '', '')],
    ['chunks of HTTP/1.0', http('HTTP/1.0 200 OK', ...chunks, '0', '', '')],
    ['a folded header', http(ok, 'a: 1', ' 2', 'content-length: 0', '', '')],
    ['a blank before the colon', http(ok, 'content-length : 1', '', 'x')],
    ['a header without a name', http(ok, ': 1', '', '')],
    ['a header without a colon', http(ok, 'content-length', '', '')],
    ['a bare LF', `${ok}\r\na: 1\ncontent-length: 1\r\n\r\nx`],
    ['a bare CR', `${ok}\r\na: 1\rb: 2\r\ncontent-length: 1\r\n\r\nx`],
    ['a NUL', http(ok, 'a: \0', '', '')],
    ['more than it was asked', http(ok, 'content-length: 1', '', 'xx')],
    ['more after its last chunk', http(ok, ...chunks, '0', '', 'x')],
    ['a chunk without a size', http(ok, ...chunks, '', 'x', '0', '', '')],
    ['a chunk of an odd size', http(ok, ...chunks, '0x1', 'x', '0', '', '')],
    ['a chunk of a negative size', http(ok, ...chunks, '-1', 'x', '0', '', '')],
    ['an endless chunk', http(ok, ...chunks, 'f'.repeat(16), 'x', '0', '', '')],
    ['a chunk that is longer than it says', http(ok, ...chunks, '1', 'xy', '0', '', '')],
    ['a chunk whose line ends with LF', `${ok}\r\ntransfer-encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n`],
    ['a chunk with an odd extension', http(ok, ...chunks, '1;\0', 'x', '0', '', '')],
    ['a chunk with a blank after its size', http(ok, ...chunks, '1 ', 'x', '0', '', '')],
    ['an odd trailer', http(ok, ...chunks, '0', 'a b: 1', '', '')],
  ])('%s', (_, text) => everyWay(text, (pieces) => expect(() => parse(pieces)).toThrow(Malformed)));

  it.each([
    ['a huge head', http('HTTP/1.1 200 OK', `a: ${'x'.repeat(70_000)}`)],
    ['1xx without end', http('HTTP/1.1 102 P', '', '').repeat(40)],
    ['extensions without end', http(ok, ...chunks, '') + `1;${'x'.repeat(1_000)}\r\nx\r\n`.repeat(20)],
    ['trailers without end', http(ok, ...chunks, '0', `a: ${'x'.repeat(20_000)}`)],
  ])('%s', (_, text) => {
    const pieces = Array.from({ length: Math.ceil(text.length / 997) }, (_, i) =>
      bytes(text.slice(i * 997, (i + 1) * 997)),
    );
    expect(() => parse(pieces)).toThrow(Malformed);
  });

  it('and so is the end before the end', () => {
    const whole = http(ok, 'content-length: 5', '', 'hello');
    for (let at = 0; at < whole.length; at++)
      expect(() => parse([bytes(whole.slice(0, at))], true)).toThrow('ended before');
  });
});

it('waits for a reader that is behind, and says nothing of the end before', () => {
  const heard: string[] = [];
  const parser = createAnswerParser({
    head: () => void heard.push('head'),
    data(all, from, to) {
      heard.push(all.toString('latin1', from, to));
      return false;
    },
    end: () => void heard.push('end'),
  });
  parser.expect('GET');
  parser.take(bytes(http('HTTP/1.1 200 OK', 'transfer-encoding: chunked', '', '1', 'a', '1', 'b', '0', '', '')));
  expect(heard).toEqual(['head', 'a']);
  parser.go();
  expect(heard).toEqual(['head', 'a', 'b']);
  parser.go();
  expect(heard).toEqual(['head', 'a', 'b', 'end']);
  parser.expect('GET');
  parser.take(bytes(http('HTTP/1.1 200 OK', 'content-length: 1', '', 'c')));
  expect(heard.slice(4)).toEqual(['head', 'c']);
  parser.go();
  expect(heard.slice(4)).toEqual(['head', 'c', 'end']);
});

const runs = Number(process.env['TRANSPORT_RUNS'] ?? 300);

/** Answers that are well-formed, and such that a byte of theirs was changed. */
const name = fc.constantFrom('A', 'b-c', 'Set-Cookie', 'x_y', 'Date', 'ETag', 'Content-Type');
const value = fc.string({ unit: fc.constantFrom(...'ab ,;="\t:/é'), maxLength: 12 });
const fields = fc.array(
  fc.tuple(name, value).map(([key, text]) => `${key}: ${text}`),
  { maxLength: 5 },
);
const body = fc.string({ unit: fc.constantFrom(...'ab\r\n01\0é'), maxLength: 40 });
const chunked = fc
  .array(fc.tuple(body, fc.constantFrom('', ';a=b', ';q="1"')), { maxLength: 4 })
  .map((all) =>
    all.filter(([text]) => text !== '').map(([text, more]) => `${text.length.toString(16)}${more}\r\n${text}\r\n`),
  )
  .map((all) => `${all.join('')}0\r\n\r\n`);
const interim = fc.constantFrom('', '', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early\r\nlink: <x>\r\n\r\n');
const wellFormed = fc
  .tuple(
    interim,
    fc.constantFrom(200, 201, 404, 500),
    fields,
    fc.oneof(
      body.map((text) => ({ text })),
      chunked.map((chunks) => ({ chunks })),
    ),
  )
  .map(([before, status, lines, one]) => {
    const framing = 'text' in one ? `content-length: ${one.text.length}` : 'transfer-encoding: chunked';
    return `${before}${http(`HTTP/1.1 ${status} Said`, ...lines, framing, '', '')}${'text' in one ? one.text : one.chunks}`;
  });
const damaged = fc
  .tuple(wellFormed, fc.nat(), fc.constantFrom('', '\r', '\n', ' ', '\0', ':', '0', 'f', '\t', ';', ','))
  .map(([text, at, byte]) => text.slice(0, at % text.length) + byte + text.slice((at % text.length) + 1));
const cuts = fc.array(fc.nat(), { maxLength: 6 });

function cut(text: string, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((at) => at % (text.length + 1)))].sort((a, b) => a - b);
  return [0, ...sorted].map((from, i) => bytes(text.slice(from, sorted[i] ?? text.length)));
}

describe("beside Node's own parser", () => {
  let answer: readonly Buffer[] = [];
  const say = async (socket: Socket): Promise<void> => {
    for (const piece of answer) {
      socket.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.end();
  };
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.setNoDelay(true);
    socket.once('data', () => void say(socket));
  });
  beforeAll(() => once(server.listen(0, '127.0.0.1'), 'listening'));
  afterAll(() => void server.close());

  /** What Node's client makes of it; null when it refuses. */
  const byNode = (pieces: readonly Buffer[]): Promise<Omit<Read, 'keeps'> | null> => {
    answer = pieces;
    return new Promise((resolve) => {
      const { port } = server.address() as AddressInfo;
      const req = request({ port, host: '127.0.0.1', agent: false });
      req.on('error', () => resolve(null));
      req.on('response', (res) => {
        let text = '';
        res.setEncoding('latin1');
        res.on('data', (chunk: string) => (text += chunk));
        res.on('error', () => resolve(null));
        const headers = res.rawHeaders.map((one, i) => (i % 2 === 0 ? one.toLowerCase() : one));
        res.on('end', () => resolve({ status: res.statusCode ?? 0, headers, body: text }));
      });
      req.end();
    });
  };
  const endToEnd = (headers: readonly string[]): string[] =>
    headers.filter(
      (_, i) =>
        !['transfer-encoding', 'connection', 'keep-alive', 'trailer', 'te', 'upgrade'].includes(
          headers[i - (i % 2)] ?? '',
        ),
    );

  it('what is well-formed is read alike', async () => {
    await fc.assert(
      fc.asyncProperty(wellFormed, cuts, async (text, places) => {
        const pieces = cut(text, places);
        const theirs = await byNode(pieces);
        const { status, headers, body: own } = parse(pieces, true);
        expect({ status, headers, body: own }).toEqual({ ...theirs, headers: endToEnd(theirs?.headers ?? []) });
      }),
      { numRuns: runs },
    );
  });

  it('what is damaged is read alike, or refused', async () => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(damaged, cuts, async (text, places) => {
        const pieces = cut(text, places);
        let ours: Read;
        try {
          ours = parse(pieces, true);
        } catch {
          refused++;
          return;
        }
        const theirs = await byNode(pieces);
        expect(theirs, JSON.stringify(text)).not.toBeNull();
        const { status, headers, body: own } = ours;
        expect({ status, headers, body: own }).toEqual({ ...theirs, headers: endToEnd(theirs?.headers ?? []) });
      }),
      { numRuns: runs },
    );
    expect(refused).toBeGreaterThan(0);
  });
});

it('whatever comes, it ends, and cutting it elsewhere changes nothing', () => {
  const anything = fc.oneof(wellFormed, damaged, fc.string({ unit: 'binary', maxLength: 200 }));
  const outcome = (pieces: readonly Buffer[]): unknown => {
    try {
      return parse(pieces, true);
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
      return String(error);
    }
  };
  fc.assert(
    fc.property(anything, cuts, (text, places) => {
      expect(outcome(cut(text, places))).toEqual(outcome([bytes(text)]));
    }),
    { numRuns: runs * 10 },
  );
});
