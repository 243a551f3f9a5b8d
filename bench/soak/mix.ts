import { request } from 'node:http';
import { WebSocket } from 'ws';
import { atRate, createClient } from '../reliability/asking.ts';
import type { Client } from '../reliability/asking.ts';

/** What a request of the mix came to: `ok` as it should, `left` by its client, anything else in words. */
export type End = 'ok' | 'left' | (string & {});

interface At {
  readonly port: number;
  readonly key: string;
}

type Ask = (client: Client, at: At) => Promise<End>;

const expects =
  (status: number, path: string, options?: Parameters<Client['ask']>[1]): Ask =>
  async (client) => {
    const answer = await client.ask(path, options);
    return answer.status === status ? 'ok' : `${path}: ${answer.status} after ${answer.ms.toFixed(0)} ms`;
  };

const chat = (stream: boolean) => ({
  method: 'POST',
  body: JSON.stringify({ model: 'said', stream, messages: [{ role: 'user', content: 'What does the fox say?' }] }),
});

/** Leaves a stream in its middle. */
const leave: Ask = (_, { port, key }) =>
  new Promise((resolve) => {
    const headers = { authorization: `Bearer ${key}` };
    const path = '/services/echo/sse?count=1000&every=10';
    const req = request({ host: '127.0.0.1', port, path, headers, agent: false }, (res) => {
      res.on('error', () => undefined);
      res.once('data', () => {
        req.destroy();
        resolve(res.statusCode === 200 ? 'left' : `${path}: ${res.statusCode ?? 0}`);
      });
    });
    req.on('error', (error) => resolve(`${path}: ${error.message}`)).end();
  });

const talk: Ask = (_, { port, key }) =>
  new Promise((resolve) => {
    const headers = { authorization: `Bearer ${key}` };
    const socket = new WebSocket(`ws://127.0.0.1:${port}/services/echo/ws`, { headers });
    socket.on('open', () => socket.send('hello'));
    socket.on('message', (text: Buffer) => {
      socket.terminate();
      resolve(text.toString() === 'hello' ? 'ok' : `WebSocket: ${text.toString()}`);
    });
    socket.on('error', (error) => resolve(`WebSocket: ${error.message}`));
  });

/** How often a second each is asked. */
const kinds: readonly (readonly [perSecond: number, ask: Ask])[] = [
  [20, expects(200, '/services/echo/x')],
  [5, expects(200, '/services/echo/x', { agent: false })],
  [5, expects(200, '/services/echo/x', { method: 'POST', body: 'x'.repeat(20_000) })],
  [5, expects(200, '/services/echo/sse?count=50&every=20')],
  [10, expects(200, '/v1/chat/completions', chat(false))],
  [5, expects(200, '/v1/chat/completions', chat(true))],
  [5, leave],
  [2, talk],
  [2, expects(404, '/services/nobody/x')],
  [0.2, expects(401, '/services/echo/x', { headers: { authorization: 'Bearer sutaz-wrong' } })],
  [1, expects(200, '/sutaz/v1/state')],
  [0.5, expects(200, '/metrics')],
];

export interface Mix {
  readonly asked: number;
  readonly left: number;
  /** What should not have been, and how often. */
  readonly wrong: ReadonlyMap<string, number>;
}

/** Everything that clients do, at a pace that leaves the machine time, for so long. */
export async function runMix(at: At, ms: number): Promise<Mix> {
  const client = createClient(at, 64);
  const wrong = new Map<string, number>();
  let [asked, left] = [0, 0];
  const one = async (ask: Ask) => {
    asked++;
    const end = await ask(client, at);
    if (end === 'left') left++;
    else if (end !== 'ok') wrong.set(end, (wrong.get(end) ?? 0) + 1);
  };
  await Promise.all(kinds.map(([perSecond, ask]) => atRate(perSecond, ms, () => one(ask))));
  client.close();
  return { asked, left, wrong };
}
