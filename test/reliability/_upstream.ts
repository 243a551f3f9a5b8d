import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { startPlatform } from '../_platform.ts';
import type { StartOptions, TestPlatform } from '../_platform.ts';

/** How often the longer ones are repeated: few in a usual run. */
export const runs = Number(process.env['RELIABILITY_RUNS'] ?? 1);

/** What a connection is answered with, once a whole head has come. */
export type Manner = (socket: Socket, path: string) => void;

export interface Misbehaving {
  readonly url: string;
  /** Connections that are open now. */
  readonly open: ReadonlySet<Socket>;
  close(): Promise<void>;
}

/** A server that speaks no HTTP of its own: each request gets what its manner writes, byte for byte. */
export async function misbehaving(manner: Manner): Promise<Misbehaving> {
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    let head = '';
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      head += bytes.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      const path = head.split(' ')[1] ?? '';
      const length = Number(/content-length: (\d+)/i.exec(head.slice(0, end))?.[1] ?? 0);
      if (head.length < end + 4 + length) return;
      head = '';
      manner(socket, path);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    open,
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const http = (...lines: string[]): string => lines.join('\r\n');
export const eventStream = http(
  'HTTP/1.1 200 OK',
  'content-type: text/event-stream',
  'transfer-encoding: chunked',
  '',
  '',
);
export const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

/** A service that runs elsewhere. No breaker: what is tested here is what comes of each request. */
export const definitionOf = (id: string, url: string, keys = ''): string => `id: ${id}
name: ${id}
summary: Answers as the test has it
category: tool
run: { external: { url: '${url}', breaker: { enabled: false }${keys} } }
resources: { memory: 1MiB }
`;

/** A platform before this upstream, as the service `raw`. */
export const platformBefore = (
  { url }: Misbehaving,
  { catalog, ...more }: StartOptions = {},
  keys = '',
): Promise<TestPlatform> =>
  startPlatform({ ...more, catalog: { ...catalog, 'services/raw.yaml': definitionOf('raw', url, keys) } });

/** The head of an answer of the service, and what is to be read on from it. */
export async function ask(
  { port, key }: TestPlatform,
  path: string,
  { method = 'GET', body, accept = '*/*' }: { method?: string; body?: string | Buffer; accept?: string } = {},
): Promise<IncomingMessage> {
  const headers = { authorization: `Bearer ${key}`, accept };
  const req = request({ port, host: '127.0.0.1', path: `/services/raw${path}`, method, headers, agent: false });
  req.end(body);
  const [res] = (await once(req, 'response')) as [IncomingMessage];
  return res;
}

export interface Whole {
  readonly status: number;
  readonly text: string;
  /** Whether it ended as it should, and did not break off. */
  readonly clean: boolean;
}

export async function readAll(res: IncomingMessage): Promise<Whole> {
  let text = '';
  res.setEncoding('latin1');
  res.on('data', (piece: string) => (text += piece));
  const clean = await new Promise<boolean>((resolve) => {
    res.on('end', () => resolve(true));
    res.on('error', () => resolve(false));
  });
  return { status: res.statusCode ?? 0, text, clean };
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(q * (sorted.length - 1))] ?? NaN;
}
