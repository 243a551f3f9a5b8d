import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export interface FakeServer {
  readonly url: string;
  /** What was asked, in order. */
  readonly asked: { readonly method: string; readonly path: string; readonly headers: IncomingHttpHeaders }[];
  /** Told of the bytes a client has put on its disk, it cuts the connections whose `cuts` they reach. */
  wrote(bytes: number): void;
  close(): Promise<void>;
}

const servers = new WeakMap<ServerResponse, Server>();

/** Bodies that were sent in part and are cut once the client has them: cut at once, the client would lose some unread. */
const held = new WeakMap<Server, { readonly response: ServerResponse; left: number }[]>();

/** `turn` counts the requests for the same path, from 0. */
export type Handler = (request: IncomingMessage, response: ServerResponse, turn: number) => void;

/** A server on this machine's loopback; what has no handler is 404. */
export async function fakeServer(handlers: Readonly<Record<string, Handler>>): Promise<FakeServer> {
  const asked: FakeServer['asked'] = [];
  const server = createServer((request, response) => {
    servers.set(response, server);
    const path = request.url ?? '';
    const turn = asked.filter((other) => other.path === path).length;
    asked.push({ method: request.method ?? '', path, headers: request.headers });
    const handler = handlers[path];
    if (handler) handler(request, response, turn);
    else response.writeHead(404).end('nothing here');
  });
  held.set(server, []);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    wrote(bytes) {
      for (const hold of held.get(server) ?? []) {
        hold.left -= bytes;
        if (hold.left <= 0) hold.response.destroy();
      }
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface Serving {
  /** A strong ETag; none is sent when left out. */
  readonly etag?: string;
  /** Answers ranges, as real storage does, unless this is false. */
  readonly ranges?: boolean;
  /** Bytes of each request's body after which the connection is cut; the rest are sent whole. */
  readonly cuts?: readonly number[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** Serves bytes as a storage server does: HEAD, Range, If-Range, 416. */
export function serve(bytes: Uint8Array, { etag, ranges = true, cuts = [], headers = {} }: Serving = {}): Handler {
  return (request, response, turn) => {
    const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
    const same = request.headers['if-range'] === undefined || request.headers['if-range'] === etag;
    const from = ranges && asked !== undefined && same ? Number(asked) : 0;
    const common = { ...headers, ...(etag !== undefined && { etag }) };
    if (from >= bytes.length && from > 0) {
      response.writeHead(416, { ...common, 'content-range': `bytes */${bytes.length}` }).end();
      return;
    }
    const body = bytes.subarray(from);
    const range = from > 0 && { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(from > 0 ? 206 : 200, { ...common, ...range, 'content-length': String(body.length) });
    const cut = cuts[turn];
    if (request.method === 'HEAD') response.end();
    else if (cut === undefined || cut >= body.length) response.end(body);
    else if (cut === 0) response.destroy();
    else {
      response.write(body.subarray(0, cut));
      const server = servers.get(response);
      if (server) held.get(server)?.push({ response, left: cut });
    }
  };
}
