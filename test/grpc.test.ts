import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

let platform: TestPlatform;
let client: Client;

const definition = `id: grpc
name: gRPC
summary: Speaks gRPC
category: tool
protocol: h2c
run: { process: { command: [node, '${root}/test/grpc.mjs', '{port}'] } }
resources: { memory: 96MiB }
`;

beforeAll(async () => {
  platform = await startPlatform({
    config: 'listen: { tls: auto }\n',
    catalog: { 'services/grpc.yaml': definition },
  });
  client = clientOf('grpc.localhost');
});
afterAll(async () => {
  client.close();
  await platform.stop();
});

/** A client as its authors wrote it: the service's host name says which one it means. */
const clientOf = (host: string, channel = credentials.createInsecure()) =>
  new Client(`127.0.0.1:${platform.port}`, channel, {
    'grpc.default_authority': host,
    'grpc.ssl_target_name_override': host,
    // Otherwise clients of one address share a connection, and with it a name.
    'grpc.use_local_subchannel_pool': 1,
  });

const same = (value: Buffer): Buffer => value;
function metadata(key = platform.key): Metadata {
  const made = new Metadata();
  made.set('authorization', `Bearer ${key}`);
  return made;
}

function unary(method: string, body: Buffer, options: { from?: Client; key?: string } = {}) {
  const { from = client, key } = options;
  const found: { headers?: Metadata; trailers?: Metadata } = {};
  return new Promise<{ value: Buffer; headers?: Metadata; trailers?: Metadata }>((resolve, reject) => {
    const call = from.makeUnaryRequest(`/test.Echo/${method}`, same, same, body, metadata(key), (error, value) =>
      error ? reject(error) : setImmediate(() => resolve({ value: value as Buffer, ...found })),
    );
    call.on('metadata', (headers: Metadata) => (found.headers = headers));
    call.on('status', ({ metadata: trailers }) => (found.trailers = trailers));
  });
}

const refusal = (call: Promise<unknown>): Promise<ServiceError> =>
  call.then(
    () => Promise.reject(new Error('it was answered')),
    (error: ServiceError) => error,
  );

it('passes a call through, with what stands before and behind it', async () => {
  const { value, headers, trailers } = await unary('Say', Buffer.from('hello'));
  expect(value.toString()).toBe('hello');
  expect(headers?.get('seen-authority')).toEqual(['grpc.localhost']);
  // Ours is no business of the service's.
  expect(headers?.get('seen-key')).toEqual(['none']);
  expect(trailers?.get('at-the-end')).toEqual(['yes']);
});

it('passes large messages', async () => {
  const big = Buffer.alloc(3 * 2 ** 20, 7);
  expect((await unary('Say', big)).value.equals(big)).toBe(true);
});

it("passes the service's own errors, word for word", async () => {
  expect(await refusal(unary('Fail', Buffer.from('x')))).toMatchObject({
    code: status.FAILED_PRECONDITION,
    details: 'nicht möglich',
  });
});

it('streams answers, 5,000 in order, to a reader that is slower', async () => {
  const call = client.makeServerStreamRequest('/test.Echo/Count', same, same, Buffer.from('5000'), metadata());
  let next = 0;
  for await (const chunk of call as AsyncIterable<Buffer>) {
    expect(Number(chunk)).toBe(next++);
    if (next % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(next).toBe(5_000);
});

it('streams requests', async () => {
  const sum = await new Promise<number>((resolve, reject) => {
    const call = client.makeClientStreamRequest('/test.Echo/Sum', same, same, metadata(), (error, value) =>
      error ? reject(error) : resolve(Number(value)),
    );
    for (let i = 0; i < 200; i++) call.write(Buffer.alloc(10_000));
    call.end();
  });
  expect(sum).toBe(2_000_000);
});

it('streams both ways at once', async () => {
  const call = client.makeBidiStreamRequest('/test.Echo/Chat', same, same, metadata());
  const said: string[] = [];
  call.write(Buffer.from('0'));
  for await (const chunk of call as AsyncIterable<Buffer>) {
    said.push(chunk.toString());
    if (said.length < 5) call.write(Buffer.from(String(said.length)));
    else call.end();
  }
  expect(said).toEqual(['0', '1', '2', '3', '4']);
});

it("tells the service when its client cancels, and gives the unit's place back", async () => {
  const call = client.makeServerStreamRequest('/test.Echo/Endless', same, same, Buffer.from('x'), metadata());
  call.on('error', () => undefined);
  await new Promise((resolve) => call.once('data', resolve));
  call.cancel();
  const told = async () => Number((await unary('Cancelled', Buffer.from('x'))).value) === 1;
  await until(told, 'the service to be told');
  await until(async () => (await platform.unit('grpc')).leases === 0, 'the lease to be given back');
});

it('refuses as gRPC does: a wrong key, a service that is not there', async () => {
  const wrong = await refusal(unary('Say', Buffer.from('x'), { key: 'sutaz-wrong' }));
  expect(wrong).toMatchObject({ code: status.UNAUTHENTICATED, details: expect.stringContaining('key') as string });
  const nobody = clientOf('nothing.localhost');
  expect(await refusal(unary('Say', Buffer.from('x'), { from: nobody }))).toMatchObject({ code: status.NOT_FOUND });
  nobody.close();
});

it('says that the service broke off in the middle of a stream, as something to be tried again', async () => {
  const call = client.makeServerStreamRequest('/test.Echo/Crash', same, same, Buffer.from('x'), metadata());
  const error = await new Promise<ServiceError>((resolve) => {
    call.on('error', resolve as (error: Error) => void);
    call.on('data', () => undefined);
  });
  expect(error.code).toBe(status.UNAVAILABLE);
  const works = () =>
    unary('Say', Buffer.from('again')).then(
      ({ value }) => value.toString() === 'again',
      () => false,
    );
  await until(works, 'it to be there again');
});

it('speaks it over TLS', async () => {
  const ca = await readFile(join(platform.home, 'tls/ca.pem'));
  const secure = clientOf('grpc.localhost', credentials.createSsl(ca));
  expect((await unary('Say', Buffer.from('hello'), { from: secure })).value.toString()).toBe('hello');
  secure.close();
});
