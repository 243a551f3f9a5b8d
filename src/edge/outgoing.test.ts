import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { nodeHttp } from '#kernel/node-http';
import { beginExchange } from './exchange.ts';
import { takeFraming } from './frames.ts';
import { outgoingOf } from './outgoing.ts';
import type { Outgoing } from './outgoing.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

interface Asked {
  readonly client: Socket;
  /** In the order of the requests. */
  readonly answers: readonly { readonly res: ServerResponse; readonly out: Outgoing }[];
  /** All that the client has had. */
  said(): string;
}

/** Answers whose chunks are framed here, to so many requests that were sent at once on one connection. */
async function ask(requests: number): Promise<Asked> {
  const answers: { res: ServerResponse; out: Outgoing }[] = [];
  const asked = Promise.withResolvers<void>();
  const server = nodeHttp.createServer((req: IncomingMessage, res: ServerResponse) => {
    const exchange = beginExchange(req, res, 0);
    res.sendDate = false;
    res.writeHead(200, ['transfer-encoding', 'chunked']);
    takeFraming(exchange);
    answers.push({ res, out: outgoingOf(exchange) });
    if (answers.length === requests) asked.resolve();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const pieces: Buffer[] = [];
  client.on('data', (data) => pieces.push(data)).on('error', () => undefined);
  client.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(requests));
  closers.push(() => {
    client.destroy();
    server.close();
  });
  await asked.promise;
  return { client, answers, said: () => Buffer.concat(pieces).toString() };
}

const goesOn = () => undefined;

it('sends what comes in one turn as one chunk, the first with the head', async () => {
  const { client, answers, said } = await ask(1);
  const [{ res, out }] = answers as [Asked['answers'][0]];
  out.begin();
  out.write(Buffer.from('one,'), goesOn);
  out.write(Buffer.from('two'), goesOn);
  await once(client, 'data');
  expect(said()).toMatch(/\r\n\r\n7\r\none,two\r\n$/);
  out.write(Buffer.from('three'), goesOn);
  out.end();
  await once(res, 'finish');
  await once(client, 'data');
  expect(said()).toMatch(/7\r\none,two\r\n5\r\nthree\r\n0\r\n\r\n$/);
});

it('sends the head at the end of the turn where nothing else comes', async () => {
  const { client, answers, said } = await ask(1);
  answers[0]?.out.begin();
  await once(client, 'data');
  expect(said()).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*\r\n\r\n$/);
});

it('sends what is held of an answer that is broken off at once', async () => {
  const { client, answers, said } = await ask(1);
  const [{ res, out }] = answers as [Asked['answers'][0]];
  out.write(Buffer.from('one'), goesOn);
  out.letGo();
  res.destroy();
  await once(client, 'close');
  expect(said()).toMatch(/\r\n\r\n3\r\none\r\n$/);
});

it('keeps an answer back until the one before it on its connection is whole', async () => {
  const { client, answers, said } = await ask(2);
  const [first, second] = answers as [Asked['answers'][0], Asked['answers'][0]];
  second.out.write(Buffer.from('b1'), goesOn);
  await turn();
  second.out.write(Buffer.from('b2'), goesOn);
  await turn();
  first.out.write(Buffer.from('a'), goesOn);
  first.out.end();
  await once(first.res, 'close');
  second.out.write(Buffer.from('b3'), goesOn);
  second.out.end();
  await once(second.res, 'close');
  client.end();
  await once(client, 'close');
  const bodies = said().split(/HTTP\/1.1 200 OK\r\n[^]*?\r\n\r\n/);
  expect(bodies).toEqual(['', '1\r\na\r\n0\r\n\r\n', '2\r\nb1\r\n2\r\nb2\r\n2\r\nb3\r\n0\r\n\r\n']);
});

it('says that a client is behind, and when it has caught up', async () => {
  const { client, answers } = await ask(1);
  const [{ out }] = answers as [Asked['answers'][0]];
  client.pause();
  const piece = Buffer.alloc(65_536, 'x');
  const resumed = Promise.withResolvers<void>();
  let written = 0;
  while (out.write(piece, resumed.resolve)) {
    written++;
    await turn();
    // More than all the buffers of two sockets hold.
    expect(written).toBeLessThan(1_000);
  }
  client.resume();
  await resumed.promise;
  expect(out.write(piece, goesOn)).toBe(true);
});

it('ends an answer of known length with its very bytes', async () => {
  const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  for (const body of [every, Buffer.concat(Array.from({ length: 100 }, () => every))]) {
    const server = nodeHttp.createServer((req, res) => {
      res.writeHead(200, ['content-length', String(body.byteLength)]);
      outgoingOf(beginExchange(req, res, 0)).end(body);
    });
    closers.push(() => server.close());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(body);
  }
});
