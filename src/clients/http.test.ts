import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Fault } from '#kernel/faults';
import { createClient, faultOf, faultOfProblem } from './http.ts';

let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  server = undefined;
});

async function serve(listener: RequestListener): Promise<string> {
  const made = (server = createServer(listener));
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(made.address() as AddressInfo).port}`;
}

const faultFrom = async (work: Promise<unknown>): Promise<Fault> => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Fault);
  return error as Fault;
};

test('an answer without a body is undefined', async () => {
  const url = await serve((_, res) => res.writeHead(204).end());
  expect(await createClient({ url }).json('DELETE', '/x')).toBeUndefined();
});

test('a platform that accepts and never answers times out, and says where', async () => {
  const url = await serve(() => undefined);
  const fault = await faultFrom(createClient({ url, timeoutMs: 30 }).json('GET', '/x'));
  expect(fault.code).toBe('TIMEOUT');
  expect(fault.message).toContain(url);
});

test('nobody there is UPSTREAM_FAILED, with the reason of the system as its cause', async () => {
  const fault = await faultFrom(createClient({ url: 'http://127.0.0.1:1' }).json('GET', '/x'));
  expect(fault).toMatchObject({ code: 'UPSTREAM_FAILED', cause: { code: 'ECONNREFUSED' } });
});

test('an aborted signal asks nothing; one that aborts later ends the answer with its own reason', async () => {
  let asked = 0;
  const url = await serve((_, res) => {
    asked++;
    res.write('one\n');
  });
  const client = createClient({ url });
  const reason = new Fault('CANCELLED', 'Interrupted.');
  expect(await faultFrom(client.json('GET', '/x', { signal: AbortSignal.abort(reason) }))).toBe(reason);
  expect(asked).toBe(0);
  const controller = new AbortController();
  const reading = (async () => {
    for await (const line of client.lines('/x', { signal: controller.signal })) {
      expect(line).toBe('one');
      controller.abort(reason);
    }
  })();
  expect(await faultFrom(reading)).toBe(reason);
});

test('leaving a stream closes its connection', async () => {
  let closed = (): void => undefined;
  const left = new Promise<void>((resolve) => (closed = resolve));
  const url = await serve((_, res) => {
    res.on('close', closed);
    res.write('data: 1\n\n');
  });
  for await (const item of createClient({ url }).events('GET', '/x')) {
    expect(item).toMatchObject({ data: '1' });
    break;
  }
  await left;
});

test('characters cut in two arrive whole', async () => {
  const bytes = Buffer.from('a 🦊 b\nlast');
  const url = await serve((_, res) => {
    const write = (at: number): void =>
      void (at < bytes.length ? res.write(bytes.subarray(at, at + 1), () => write(at + 1)) : res.end());
    write(0);
  });
  const lines: string[] = [];
  for await (const line of createClient({ url }).lines('/x')) lines.push(line);
  expect(lines).toEqual(['a 🦊 b', 'last']);
});

describe('what an error answer tells', () => {
  const problem = {
    type: 't',
    title: 'T',
    status: 409,
    code: 'CONFLICT',
    detail: 'It is loaded.',
    traceId: 'x',
    pid: 7,
  };

  test('a problem, with its facts', () => {
    expect(faultOf(409, JSON.stringify({ ...problem, retryAfter: 3, source: 'upstream' }), '')).toMatchObject({
      code: 'CONFLICT',
      message: 'It is loaded.',
      retryAfter: 3,
      source: 'upstream',
      details: { traceId: 'x', pid: 7 },
    });
  });

  test("OpenAI's shape, with our codes in lower case or its own", () => {
    const error = (code: string) =>
      JSON.stringify({ error: { message: 'm', code, trace_id: 'x', details: { bytes: 1 } } });
    expect(faultOf(503, error('no_memory'), '')).toMatchObject({
      code: 'NO_MEMORY',
      details: { traceId: 'x', bytes: 1 },
    });
    expect(faultOf(404, error('model_not_found'), '')).toMatchObject({ code: 'NOT_FOUND', message: 'm' });
  });

  test.each([
    [502, '<html>', 'UPSTREAM_FAILED'],
    [418, '', 'BAD_REQUEST'],
    [599, '{}', 'INTERNAL'],
    [404, '{"code":"toString"}', 'NOT_FOUND'],
    [400, '[]', 'BAD_REQUEST'],
  ])('status %d with %j is %s', (status, text, code) => expect(faultOf(status, text, 'http://x').code).toBe(code));

  test('the same inside a stream', () => {
    expect(faultOfProblem(problem)).toMatchObject({ code: 'CONFLICT', message: 'It is loaded.' });
    expect(faultOfProblem(null).code).toBe('INTERNAL');
  });
});
