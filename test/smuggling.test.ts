import fc from 'fast-check';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';
import { converse } from './_raw.ts';

/** How many conversations are made up; `RUNS=50000` for the whole. */
const runs = Number(process.env.RUNS ?? 3_000);
const atOnce = 16;

let platform: TestPlatform;
let oracle: Awaited<ReturnType<typeof openOracle>>;

beforeAll(async () => {
  platform = await startPlatform({
    config: 'limits: { headerTimeout: 2s, bodyTimeout: 2s }\n',
    catalog: { 'services/echo.yaml': echoService('echo', { dir: `${root}/test` }) },
  });
  expect((await platform.fetch('/services/echo/')).status).toBe(200);
  oracle = await openOracle();
});
afterAll(async () => {
  oracle.close();
  await platform.stop();
});

interface Message {
  readonly method: string | undefined;
  readonly url: string | undefined;
  /** Null while it is not whole. */
  body: string | null;
}

/** What Node's strict parser makes of the same bytes: which messages there are, and where they end. */
async function openOracle() {
  const conversations = new Map<number, Message[]>();
  const take = (req: IncomingMessage, res: ServerResponse) => {
    const messages = conversations.get(req.socket.remotePort ?? 0) ?? [];
    conversations.set(req.socket.remotePort ?? 0, messages);
    const message: Message = { method: req.method, url: req.url, body: null };
    messages.push(message);
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      message.body = Buffer.concat(chunks).toString('latin1');
      res.end();
    });
  };
  const server = createServer({ maxHeaderSize: 40 * 1024 }, take);
  // Whatever is expected, it is a message.
  server.on('checkContinue', take).on('checkExpectation', take);
  server.on('clientError', (_, socket) => socket.destroy());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    async read(bytes: string): Promise<readonly Message[]> {
      const socket = connect({ port, host: '127.0.0.1' }).on('error', () => undefined);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      await once(socket, 'connect');
      const own = socket.localPort ?? 0;
      socket.resume().end(Buffer.from(bytes, 'latin1'));
      await closed;
      const messages = conversations.get(own) ?? [];
      conversations.delete(own);
      return messages;
    },
    close: () => server.close(),
  };
}

const often = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

const eol = often('\r\n', '\n', '\r', '\r\r\n', '\n\r\n');
const smuggled = 'GET /services/echo/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n';
const content = fc.oneof(
  fc.constantFrom('', 'hi', '0\r\n\r\n', smuggled, `0\r\n\r\n${smuggled}`),
  fc.string({ maxLength: 20 }),
);

const oddHeader = fc.constantFrom(
  ...[
    'Content-Length: 0',
    'Content-Length: 2',
    'Content-Length: 02',
    'Content-Length: +2',
    'Content-Length: 2, 2',
    'Content-Length:',
  ],
  ...[
    'Content-Length : 2',
    ' Content-Length: 2',
    'Content_Length: 2',
    'Content-Length: 2\r\n 0',
    'Content-Length: \x0b2',
  ],
  ...[
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: Chunked',
    'Transfer-Encoding: gzip, chunked',
    'Transfer-Encoding: chunked, gzip',
  ],
  ...[
    'Transfer-Encoding: "chunked"',
    'Transfer-Encoding:\tchunked',
    'Transfer-Encoding: \x0bchunked',
    'Transfer-Encoding : chunked',
  ],
  ...[
    'Transfer-Encoding: identity',
    'Transfer-Encoding\r\n: chunked',
    'Transfer-Encoding:\r\n chunked',
    'X: y\rTransfer-Encoding: chunked',
  ],
  ...[
    'Host: elsewhere',
    'Host:',
    'Connection: close',
    'Connection: Content-Length',
    'Connection: Transfer-Encoding, keep-alive',
  ],
  ...[
    'Expect: 100-continue',
    'Expect: nothing',
    'Upgrade: websocket',
    'Upgrade: h2c',
    'Trailer: Content-Length',
    'TE: trailers',
  ],
  ...[
    'X: \0',
    'X: a\nY: b',
    ': x',
    'nonsense',
    'X-\xff: 1',
    'X: \xff',
    'Authorization: Bearer wrong',
    'Keep-Alive: timeout=1',
  ],
);

interface Drawn {
  readonly method: string;
  readonly version: string;
  readonly blank: string;
  readonly ends: readonly string[];
  readonly odd: readonly string[];
  readonly framing: 'none' | 'length' | 'chunked';
  readonly body: string;
  readonly shift: number;
  readonly extension: string;
  readonly trailer: string;
}

const drawn: fc.Arbitrary<Drawn> = fc.record({
  method: often('POST', 'GET', 'PUT', 'HEAD', 'OPTIONS', 'DELETE', 'post', 'PRI', 'CONNECT'),
  version: often('HTTP/1.1', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'http/1.1', 'HTTP/1.10', ''),
  blank: often(' ', '  ', '\t', ''),
  ends: fc.array(eol, { minLength: 12, maxLength: 12 }),
  odd: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 2, arbitrary: fc.array(oddHeader, { maxLength: 2 }) },
  ),
  framing: fc.constantFrom('none', 'length', 'chunked'),
  body: content,
  shift: often(0, 1, -1, 5),
  extension: often('', ';a=b', ';a="\r\n"', ' ', ';\n', ';a\rb'),
  trailer: often('', 'X-T: 1\r\n', 'Content-Length: 5\r\n', ' folded\r\n', 'Transfer-Encoding: chunked\r\n'),
});

function written(one: Drawn, path: string): string {
  const end = (i: number) => one.ends[i] ?? '\r\n';
  const lines = [
    `${one.method}${one.blank}${path} ${one.version}`,
    'Host: localhost',
    `Authorization: Bearer ${platform.key}`,
  ];
  const size = Math.max(0, one.body.length + one.shift);
  if (one.framing === 'length') lines.push(`Content-Length: ${size}`);
  if (one.framing === 'chunked') lines.push('Transfer-Encoding: chunked');
  const head = [...lines, ...one.odd].map((line, i) => line + end(i)).join('') + end(10);
  if (one.framing !== 'chunked') return head + (one.framing === 'none' ? '' : one.body);
  const chunk = one.body === '' ? '' : `${size.toString(16)}${one.extension}${end(11)}${one.body}\r\n`;
  return `${head}${chunk}0\r\n${one.trailer}\r\n`;
}

/** Bytes that are changed after all, where nothing else would think of it. */
const damage = fc.oneof(
  { weight: 5, arbitrary: fc.constant(null) },
  {
    weight: 1,
    arbitrary: fc.record({
      at: fc.nat(1_000),
      remove: fc.nat(3),
      insert: fc.constantFrom('', '\0', '\r', '\n', ' ', ':', '\xff', 'x'),
    }),
  },
);

const conversation = fc.record({ requests: fc.array(drawn, { minLength: 1, maxLength: 3 }), damage, cut: fc.nat(400) });
type Conversation = typeof conversation extends fc.Arbitrary<infer T> ? T : never;

function bytesOf({ requests, damage: change }: Conversation, id: number): string {
  const text = requests.map((one, i) => written(one, `/services/echo/${id}-${i}`)).join('');
  const last = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  if (change === null) return text + last;
  const at = change.at % text.length;
  return text.slice(0, at) + change.insert + text.slice(at + change.remove) + last;
}

interface Tally {
  answered: number;
  refused: number;
}

/** Throws when an answer is not that of the message in its place, or when there are more answers than messages. */
async function check(drawnUp: Conversation, id: number, tally: Tally): Promise<void> {
  const bytes = bytesOf(drawnUp, id);
  const messages = await oracle.read(bytes);
  const heads = messages.map(({ method }) => method === 'HEAD');
  const pieces = [bytes.slice(0, drawnUp.cut), bytes.slice(drawnUp.cut)];
  const { statuses, bodies, text } = await converse(platform.port, pieces, { silentMs: 400, heads });
  const final = statuses.filter((status) => status >= 200);
  const say = (what: string) =>
    `${what}\n${JSON.stringify(bytes)}\n${JSON.stringify(text)}\n${JSON.stringify(messages)}`;
  // One more for what is no message at all.
  if (final.length > messages.length + 1) throw new Error(say('more answers than messages'));
  bodies.forEach((body, i) => {
    if (!body.startsWith('{"method"')) return;
    const echoed = JSON.parse(body) as { method: string; url: string; bytes: number };
    const { method, url, body: own } = messages[i] ?? {};
    const same = echoed.method === method && `/services/echo${echoed.url}` === url && echoed.bytes === own?.length;
    if (!same) throw new Error(say('an answer of another message'));
    tally.answered++;
  });
  if (final.some((status) => status >= 400)) tally.refused++;
}

describe('R20 smuggling', () => {
  it(
    `reads ${runs} made-up conversations as Node's strict parser does, or refuses them`,
    { timeout: 1_800_000 },
    async () => {
      const tally: Tally = { answered: 0, refused: 0 };
      const seed = Number(process.env.SEED ?? 20);
      const all = fc.sample(conversation, { numRuns: runs, seed });
      let next = 0;
      const worker = async () => {
        for (let id = next++; id < all.length; id = next++) await check(all[id] as Conversation, id, tally);
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
      // Else it would have shown nothing.
      expect(tally.answered).toBeGreaterThan(runs / 4);
      expect(tally.refused).toBeGreaterThan(runs / 4);
      await untilQuiet();
    },
  );
});

const frame = fc.record({
  type: fc.nat(12),
  flags: fc.constantFrom(0, 1, 4, 5, 8, 0x20, 0x2d, 0xff),
  stream: fc.constantFrom(0, 1, 1, 2, 3, 5, 0x7fffffff),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    // `GET /healthz` with the static table: what is right is taken.
    fc.constant(
      Uint8Array.from([0x82, 0x86, 0x44, 8, ...Buffer.from('/healthz'), 0x41, 9, ...Buffer.from('localhost')]),
    ),
  ),
  lie: often(0, 1, -1, 1_000_000),
});

function written2({
  type,
  flags,
  stream,
  payload,
  lie,
}: typeof frame extends fc.Arbitrary<infer T> ? T : never): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(Math.min(0xffffff, Math.max(0, payload.byteLength + lie)), 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

describe('R21 fuzz of the request path', () => {
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0';

  it(`outlives ${runs} connections of made-up frames`, { timeout: 1_800_000 }, async () => {
    const all = fc.sample(fc.array(frame, { maxLength: 8 }), { numRuns: runs, seed: Number(process.env.SEED ?? 21) });
    let next = 0;
    const worker = async () => {
      for (let id = next++; id < all.length; id = next++) {
        const frames = Buffer.concat((all[id] ?? []).map(written2)).toString('latin1');
        await converse(platform.port, [preface, frames], { end: true, silentMs: 200 });
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    await untilQuiet();
  });

  it(`outlives ${runs} connections of any bytes`, { timeout: 1_800_000 }, async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ maxLength: 100 }).map((text) => Buffer.from(`GET ${text}`)),
    );
    const all = fc.sample(bytes, { numRuns: runs, seed: Number(process.env.SEED ?? 22) });
    let next = 0;
    const worker = async () => {
      for (let id = next++; id < all.length; id = next++) {
        const { text } = await converse(platform.port, [Buffer.from(all[id] ?? []).toString('latin1')], {
          end: true,
          silentMs: 200,
        });
        expect(text).toMatch(/^($|HTTP\/1\.1 4)/);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    await untilQuiet();
  });
});

/** The same process answers, and holds nothing for anyone. */
async function untilQuiet(): Promise<void> {
  expect((await platform.fetch('/services/echo/')).status).toBe(200);
  expect(process.kill(platform.pid, 0)).toBe(true);
  await until(async () => (await platform.unit('echo')).leases === 0, 'every lease to be given back');
}
