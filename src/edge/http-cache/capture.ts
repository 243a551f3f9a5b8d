import type { ServerResponse } from 'node:http';
import type { Exchange } from '../exchange.ts';
import type { Headers } from '../middlewares/middleware.ts';
import { bytesOf, doneOf, listed, takeHeaders } from '../routes/answer.ts';
import type { Chunk, Given } from '../routes/answer.ts';

/** What is told of an answer while it goes to the client. */
export interface Watching {
  /** Before it goes; may change its headers. False: it does not go at all, and the client gets another one. */
  head(status: number, headers: Headers): boolean;
  body(chunk: Buffer): void;
  /** It is whole. */
  end(): void;
}

/** Lets an answer that was not captured go to the client. */
export interface Uncaptured {
  send(status: number, headers: Headers, body: Buffer | null): void;
}

/** Watches what goes to this client from now on, before any route changes it: what is kept is what the service said. */
export function capture(exchange: Exchange, watching: Watching): Uncaptured {
  const { res } = exchange;
  // What is kept must be the body, and no chunks framed for a connection.
  exchange.rewritten = true;
  const plain = {
    writeHead: res.writeHead.bind(res) as (status: number, headers: string[]) => ServerResponse,
    write: res.write.bind(res) as (chunk: Chunk, done?: () => void) => boolean,
    end: res.end.bind(res) as (chunk?: Chunk, done?: () => void) => ServerResponse,
  };
  let begun = false;
  let goes = true;
  const writeHead = (status: number, second?: string | Given, third?: Given) => {
    begun = true;
    const headers = takeHeaders(res, typeof second === 'string' ? third : second);
    goes = watching.head(status, headers);
    return goes ? plain.writeHead(status, listed(headers)) : res;
  };
  const write = (chunk: Chunk, second?: unknown, third?: unknown): boolean => {
    if (!begun) writeHead(res.statusCode);
    if (!goes) return true;
    const bytes = bytesOf(chunk, second);
    watching.body(bytes);
    return plain.write(bytes, doneOf(second, third));
  };
  const end = (first?: unknown, second?: unknown, third?: unknown): ServerResponse => {
    if (!begun) writeHead(res.statusCode);
    if (!goes) return res;
    const chunk = typeof first === 'string' || first instanceof Uint8Array ? bytesOf(first, second) : undefined;
    if (chunk) watching.body(chunk);
    watching.end();
    return plain.end(chunk, doneOf(first, second, third));
  };
  Object.assign(res, { writeHead, write, end });
  return {
    send(status, headers, body) {
      exchange.answered = true;
      plain.writeHead(status, listed(headers));
      plain.end(body ?? undefined);
    },
  };
}
