import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Fault } from '#kernel/faults';
import type { Exchange } from '../exchange.ts';
import type { Headers, JsonObject } from '../middlewares/middleware.ts';
import { changedText, eventConverter, lineConverter } from './events.ts';
import type { Converter } from './events.ts';
import type { AnswerChanges } from './table.ts';

export type Given = OutgoingHttpHeaders | readonly OutgoingHttpHeader[] | undefined;
export type Chunk = string | Uint8Array;

/** Bytes of an answer in one piece that are held to be changed. */
export const mostGathered = 16 * 2 ** 20;

/** An answer in one piece, of which nothing has gone out yet. */
interface Whole {
  readonly status: number;
  readonly headers: Headers;
  readonly chunks: Buffer[];
  bytes: number;
}

/**
 * Changes what goes to this client from now on. On the response itself, since a translator, an error and a service's own
 * answer all end there, each in the API that the client speaks. Whatever else writes to it is none the wiser: an answer in
 * one piece is held, so that a failure in its middle is still told by a status.
 */
export function changeAnswer(exchange: Exchange, changes: AnswerChanges): void {
  const { res, req } = exchange;
  if (changes.response.length === 0 && changes.answerJson.length === 0) return;
  const changesJson = changes.answerJson.length > 0;
  exchange.rewritten ||= changesJson;
  const plain = {
    writeHead: res.writeHead.bind(res) as (status: number, headers: string[]) => ServerResponse,
    write: res.write.bind(res) as (chunk: Chunk, done?: () => void) => boolean,
    end: res.end.bind(res) as (chunk?: Chunk, done?: () => void) => ServerResponse,
  };
  const change = (body: JsonObject) => {
    for (const one of changes.answerJson) one(body);
  };
  let whole: Whole | null = null;
  let stream: Converter | null = null;
  const begin = (status: number, headers: Headers) => plain.writeHead(status, listed(headers));

  const writeHead = (status: number, second?: string | Given, third?: Given) => {
    const headers = takeHeaders(res, typeof second === 'string' ? third : second);
    // By what it is, whatever a middleware calls it.
    const kind = changesJson && status < 400 ? kindOf(headers) : null;
    for (const one of changes.response) one(headers);
    whole = stream = null;
    if (kind === null) return begin(status, headers);
    if (headers['content-encoding'] !== undefined) {
      throw new Fault('UPSTREAM_FAILED', `The route ${changes.name} cannot read the answer: it is compressed.`);
    }
    for (const name of ['content-length', 'etag', 'content-md5', 'digest']) delete headers[name];
    if (req.method === 'HEAD' || status === 204 || status === 304) return begin(status, headers);
    if (kind === 'object') {
      whole = { status, headers, chunks: [], bytes: 0 };
      return res;
    }
    stream = kind === 'events' ? eventConverter(change) : lineConverter(change);
    return begin(status, headers);
  };
  const write = (chunk: Chunk, second?: unknown, third?: unknown): boolean => {
    const done = doneOf(second, third);
    if (whole) {
      hold(whole, bytesOf(chunk, second), changes.name);
      done?.();
      return true;
    }
    if (!stream) return plain.write(bytesOf(chunk, second), done);
    const out = stream.push(bytesOf(chunk, second));
    if (out !== '') return plain.write(out, done);
    done?.();
    return true;
  };
  const end = (first?: unknown, second?: unknown, third?: unknown): ServerResponse => {
    const chunk = typeof first === 'string' || first instanceof Uint8Array ? bytesOf(first, second) : null;
    const done = doneOf(first, second, third);
    if (!res.headersSent && !whole) writeHead(res.statusCode);
    if (whole) {
      const held: Whole = whole;
      if (chunk) hold(held, chunk, changes.name);
      const body = Buffer.from(objectOf(held, change, changes.name));
      whole = null;
      begin(held.status, { ...held.headers, 'content-length': String(body.byteLength) });
      return plain.end(body, done);
    }
    if (!stream) return chunk ? plain.end(chunk, done) : plain.end(undefined, done);
    const out = (chunk ? stream.push(chunk) : '') + stream.end();
    stream = null;
    return out === '' ? plain.end(undefined, done) : plain.end(out, done);
  };
  Object.assign(res, { writeHead, write, end });
}

export const doneOf = (...given: unknown[]): (() => void) | undefined =>
  given.find((one): one is () => void => typeof one === 'function');

export const bytesOf = (chunk: Chunk, encoding: unknown): Buffer =>
  typeof chunk === 'string'
    ? Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
    : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);

function hold(whole: Whole, chunk: Buffer, route: string): void {
  whole.bytes += chunk.byteLength;
  if (whole.bytes > mostGathered) {
    throw new Fault('UPSTREAM_FAILED', `The answer is too large for the route ${route} to change it.`);
  }
  whole.chunks.push(chunk);
}

/** A list or a plain value has no fields: it goes on as it is. What only says that it is JSON does not. */
function objectOf({ chunks }: Whole, change: (body: JsonObject) => void, route: string): string {
  const text = Buffer.concat(chunks).toString('utf8');
  const changed = changedText(text, change);
  if (changed !== null) return changed;
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    throw new Fault('UPSTREAM_FAILED', `The answer is no JSON, which the route ${route} was to change.`, {
      cause: error,
    });
  }
}

function kindOf(headers: Headers): 'object' | 'events' | 'lines' | null {
  const type = String(headers['content-type'] ?? '').toLowerCase();
  if (type.startsWith('text/event-stream')) return 'events';
  if (/^application\/(x-)?ndjson/.test(type)) return 'lines';
  return /^application\/([^;]*\+)?json/.test(type) ? 'object' : null;
}

/** All headers of the answer by name; those that were set before are taken from the response. */
export function takeHeaders(res: ServerResponse, given: Given): Headers {
  const headers: Headers = {};
  for (const [name, value] of Object.entries(res.getHeaders())) {
    headers[name] = Array.isArray(value) ? value.map(String) : String(value);
    res.removeHeader(name);
  }
  const seen = new Set<string>();
  const put = (name: string, value: OutgoingHttpHeader | undefined) => {
    const values = Array.isArray(value) ? value.map(String) : [String(value)];
    // What is said at the end goes over what was set before, and is itself said as often as it is needed.
    const all = [...(seen.has(name) ? [headers[name] ?? []].flat() : []), ...values];
    seen.add(name);
    headers[name] = all.length === 1 ? (all[0] as string) : all;
  };
  if (Array.isArray(given)) {
    const list = given as readonly OutgoingHttpHeader[];
    for (let i = 0; i + 1 < list.length; i += 2) put(String(list[i]).toLowerCase(), list[i + 1]);
  } else {
    for (const [name, value] of Object.entries(given ?? {})) if (value !== undefined) put(name.toLowerCase(), value);
  }
  return headers;
}

export const listed = (headers: Headers): string[] =>
  Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().flatMap((one) => [name, one]),
  );
