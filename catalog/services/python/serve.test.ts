import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';

const program = `
import sys
from serve import Raw, Refused, Request, serve, text

def slow(_):
    print("under way", flush=True)
    return {"said": sys.stdin.readline().strip()}

def refuse(_):
    raise Refused("not today", 409)

serve({
    "POST /echo": lambda request: {"text": text(request.json(), "text"), "query": dict(request.query)},
    "GET /sound": lambda _: Raw(b"\\x00\\x01", "audio/wav"),
    "GET /broken": lambda _: 1 / 0,
    "GET /refused": refuse,
    "GET /slow": slow,
})
`;

const host = spawn('python3', ['-c', program], {
  env: { ...process.env, HOST: '127.0.0.1', PORT: '0', PYTHONPATH: import.meta.dirname, PYTHONDONTWRITEBYTECODE: '1' },
  stdio: ['pipe', 'pipe', 'ignore'],
});
const lines = createInterface({ input: host.stdout })[Symbol.asyncIterator]();
const line = async () => String((await lines.next()).value);
let address = '';

beforeAll(async () => {
  const port = /^listening on 127\.0\.0\.1:(\d+)$/.exec(await line())?.[1];
  address = `http://127.0.0.1:${String(port)}`;
});

afterAll(() => host.kill('SIGKILL'));

const ask = async (path: string, init: RequestInit = {}) => {
  const answer = await fetch(`${address}${path}`, init);
  return { status: answer.status, body: await answer.json() };
};

it('is healthy, and answers with what its functions return', async () => {
  expect(await ask('/health')).toEqual({ status: 200, body: { status: 'ok' } });
  const echo = await ask('/echo?a=b', { method: 'POST', body: '{"text":"hällo"}' });
  expect(echo).toEqual({ status: 200, body: { text: 'hällo', query: { a: 'b' } } });
  const sound = await fetch(`${address}/sound`);
  expect([sound.headers.get('content-type'), await sound.bytes()]).toEqual(['audio/wav', new Uint8Array([0, 1])]);
});

it.each([
  ['/nowhere', {}, 404, /There is no GET \/nowhere\. Known here: GET \/health, POST \/echo/],
  ['/echo', { method: 'POST', body: '{' }, 400, /not JSON/],
  ['/echo', { method: 'POST', body: '[]' }, 400, /must be a JSON object/],
  ['/echo', { method: 'POST', body: '{"text":3}' }, 400, /^text must be a text\.$/],
  ['/refused', {}, 409, /^not today$/],
  ['/broken', {}, 500, /^ZeroDivisionError: /],
])('tells what is wrong: %s %j', async (path, init, status, message) => {
  const answer = await ask(path, init);
  expect(answer.status).toBe(status);
  expect((answer.body as { error: { message: string } }).error.message).toMatch(message);
});

it('reads no body that is too large', async () => {
  const socket = connect(Number(new URL(address).port), '127.0.0.1');
  socket.write(`POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: ${32 * 2 ** 20 + 1}\r\n\r\n`);
  expect(await text(socket)).toMatch(/^HTTP\/1\.0 413 [^]*larger than/);
});

it('lets what is under way finish when it is told to end', async () => {
  const slow = ask('/slow');
  expect(await line()).toBe('under way');
  host.kill('SIGTERM');
  host.stdin.end('done\n');
  expect(await slow).toEqual({ status: 200, body: { said: 'done' } });
  if (host.exitCode === null) await once(host, 'exit');
  expect(host.exitCode).toBe(0);
});
