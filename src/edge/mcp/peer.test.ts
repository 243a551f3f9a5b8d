import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '#kernel/clock';
import { fakeClock } from '#kernel/clock.fake';
import type { FakeClock } from '#kernel/clock.fake';
import { createUpstreams } from '../transport/upstreams.ts';
import { openPeer } from './peer.ts';
import type { Peer } from './peer.ts';

type Message = { readonly id?: number; readonly method: string; readonly params?: Record<string, unknown> };
type Answer = (message: Message, res: ServerResponse) => void;

let heard: string[];
let headers: IncomingMessage['headers'];
let onTool: Answer;
let clock: FakeClock;
const upstreams = createUpstreams({ clock: systemClock });
const json = (res: ServerResponse, value: unknown) =>
  void res.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 's1' }).end(JSON.stringify(value));
const answers: Record<string, Answer> = {
  initialize: ({ id }, res) => json(res, { jsonrpc: '2.0', id, result: { protocolVersion: '2025-06-18' } }),
  'tools/list': ({ id, params }, res) =>
    json(res, {
      ...{ jsonrpc: '2.0', id },
      result: params?.cursor ? { tools: [{ name: 'b' }] } : { tools: [{ name: 'a' }], nextCursor: 'n' },
    }),
  'tools/call': (message, res) => onTool(message, res),
};
const server = createServer((req, res) => {
  let text = '';
  req.on('data', (chunk: Buffer) => (text += chunk.toString()));
  req.on('end', () => {
    headers = req.headers;
    const message = (text === '' ? { method: req.method } : JSON.parse(text)) as Message;
    heard.push(message.method);
    const answer = answers[message.method];
    if (answer) answer(message, res);
    else res.writeHead(202).end();
  });
});
beforeEach(async () => {
  heard = [];
  clock = fakeClock();
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const open = (signal = new AbortController().signal): Promise<Peer> => {
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return openPeer({ target: { origin, basePath: '', key: 'k' }, upstreams, clock, signal, version: '1' });
};
const event = (value: unknown) => `event: message\ndata: ${JSON.stringify(value)}\n\n`;

describe('a server', () => {
  it('is greeted, asked page by page, and told good-bye', async () => {
    const peer = await open();
    expect((await peer.listTools()).map(({ name }) => name)).toEqual(['a', 'b']);
    expect(headers).toMatchObject({
      ...{ 'mcp-session-id': 's1', 'mcp-protocol-version': '2025-06-18', authorization: 'Bearer k' },
    });
    await peer.close();
    expect(heard).toEqual(['initialize', 'notifications/initialized', 'tools/list', 'tools/list', 'DELETE']);
  });

  it('tells of progress and of other tools in the stream of its answer, which need not end', async () => {
    onTool = ({ id, params }, res) => {
      const { progressToken } = params?._meta as { progressToken: unknown };
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(event({ method: 'notifications/progress', params: { progressToken, progress: 1, total: 2 } }));
      res.write(event({ method: 'notifications/tools/list_changed' }));
      res.write(event({ id, result: { content: [] } }));
    };
    const peer = await open();
    const told: unknown[] = [];
    expect(await peer.callTool('a', {}, (progress) => told.push(progress))).toEqual({ content: [] });
    expect(told).toEqual([expect.objectContaining({ progress: 1, total: 2 })]);
    expect(peer.changed()).toBe(true);
    await peer.listTools();
    expect(peer.changed()).toBe(false);
  });

  it.each([
    ['refuses', (_: Message, res: ServerResponse) => void res.writeHead(500).end(), /answered with 500/],
    ['answers with an error', ({ id }, res) => json(res, { id, error: { code: -32602, message: 'no' } }), /^no$/],
    ['answers with nothing', (_, res) => void res.writeHead(200).end(), /broke off/],
    ['answers with garbage', (_, res) => void res.writeHead(200).end('<html>'), /broke off/],
    ['breaks off', (_, res) => void res.destroy(), /./],
  ] as readonly (readonly [string, Answer, RegExp])[])('that %s fails the call', async (_, answer, why) => {
    onTool = answer;
    const peer = await open();
    await expect(peer.callTool('a', {}, () => undefined)).rejects.toMatchObject({
      ...{ code: 'UPSTREAM_FAILED', message: expect.stringMatching(why) as unknown },
    });
  });

  it('hears that a call is called off', async () => {
    const leaving = new AbortController();
    onTool = () => leaving.abort(new Error('left'));
    const peer = await open(leaving.signal);
    await expect(peer.callTool('a', {}, () => undefined)).rejects.toThrow();
    expect(heard.slice(-2)).toEqual(['tools/call', 'notifications/cancelled']);
  });

  it('that says nothing for too long is given up, and told so', async () => {
    onTool = () => queueMicrotask(() => clock.advance(10 * 60_000));
    const peer = await open();
    await expect(peer.callTool('a', {}, () => undefined)).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(heard.at(-1)).toBe('notifications/cancelled');
  });
});
