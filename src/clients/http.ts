import type { IncomingMessage } from 'node:http';
import { abortFault } from '#kernel/abort';
import { Fault, faults } from '#kernel/faults';
import type { FaultCode, FaultOptions } from '#kernel/faults';
import { createSseParser } from '#kernel/sse';
import type { SseItem } from '#kernel/sse';

// An ESM `import` of node:http reads each of its exports, the lazy WebSocket among them, and so loads Node's own undici:
// 70 ms that every command would pay.
const { request: httpRequest } = process.getBuiltinModule('node:http');

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface CallOptions {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Aborting it ends the connection, which tells the platform that the caller has left. */
  readonly signal?: AbortSignal;
  /** Milliseconds in which a plain answer must have begun, where this one takes longer than others. */
  readonly timeoutMs?: number;
}

/** Speaks to one platform. Every call may throw a Fault: the platform's own, or UPSTREAM_FAILED when it cannot be reached. */
export interface Client {
  readonly url: string;
  /** The answer's JSON, trusted to be what the API's types say; undefined for an answer without a body. */
  json<T>(method: Method, path: string, options?: CallOptions): Promise<T>;
  /** The answer's server-sent events. Leaving the loop ends the connection. */
  events(method: Method, path: string, options?: CallOptions): AsyncIterable<SseItem>;
  /** The answer's text, line by line, as it comes. */
  lines(path: string, options?: CallOptions): AsyncIterable<string>;
}

export interface ClientOptions {
  readonly url: string;
  readonly key?: string;
  /** Milliseconds in which a plain answer must have begun. Streams may be silent for as long as they like. */
  readonly timeoutMs?: number;
}

/** A client over `node:http` alone: it loads in a few milliseconds, and a command lives no longer than that. */
export function createClient({ url, key, timeoutMs = 30_000 }: ClientOptions): Client {
  const open = (method: Method, path: string, accept: string, options: CallOptions, limitMs?: number) =>
    send({ url: new URL(path, url), method, accept, key, limitMs, ...options });
  return {
    url,
    async json<T>(method: Method, path: string, options: CallOptions = {}) {
      const response = await open(method, path, 'application/json', options, options.timeoutMs ?? timeoutMs);
      const text = await readText(response, url, options.signal);
      return (text === '' ? undefined : parseJson(text, url)) as T;
    },
    async *events(method, path, options = {}) {
      const response = await open(method, path, 'text/event-stream', options);
      const parser = createSseParser();
      for await (const chunk of chunks(response, url, options.signal)) yield* parser.push(chunk);
    },
    async *lines(path, options = {}) {
      const response = await open('GET', path, 'text/plain', options);
      const decoder = new TextDecoder();
      let rest = '';
      for await (const chunk of chunks(response, url, options.signal)) {
        const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = parts.pop() ?? '';
        yield* parts;
      }
      rest += decoder.decode();
      if (rest !== '') yield rest;
    },
  };
}

interface Call extends CallOptions {
  readonly url: URL;
  readonly method: Method;
  readonly accept: string;
  readonly key: string | undefined;
  readonly limitMs: number | undefined;
}

/** Resolves with an answer of 2xx whose body has not been read; throws the Fault that any other answer tells of. */
async function send({ url, method, accept, key, limitMs, body, signal }: Call): Promise<IncomingMessage> {
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = httpRequest(url, {
      method,
      // One connection a call: a kept one would have to be closed before the command can end.
      agent: false,
      headers: {
        accept,
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(payload ? { 'content-type': 'application/json', 'content-length': payload.length } : {}),
      },
      ...(signal ? { signal } : {}),
    });
    const late = new Fault('TIMEOUT', `${url.origin} has not answered within ${(limitMs ?? 0) / 1000} seconds.`);
    if (limitMs !== undefined) request.setTimeout(limitMs, () => request.destroy(late));
    request.on('response', resolve).on('error', (error) => reject(unreachable(error, url.origin, signal)));
    request.end(payload);
  });
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return response;
  throw faultOf(status, await readText(response, url.origin, signal), url.origin);
}

async function* chunks(response: IncomingMessage, url: string, signal?: AbortSignal): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of response) yield chunk as Uint8Array;
  } catch (error) {
    throw unreachable(error, url, signal);
  } finally {
    response.destroy();
  }
}

async function readText(response: IncomingMessage, url: string, signal?: AbortSignal): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks(response, url, signal)) parts.push(chunk);
  return Buffer.concat(parts).toString('utf8');
}

function unreachable(error: unknown, url: string, signal?: AbortSignal): Fault {
  if (error instanceof Fault) return error;
  if (signal?.aborted) return abortFault(signal);
  const reason = error instanceof Error ? error.message : String(error);
  return new Fault('UPSTREAM_FAILED', `The connection to ${url} failed: ${reason}`, { cause: error });
}

function parseJson(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Fault('UPSTREAM_FAILED', `${url} answered with something that is not JSON.`, { cause: error });
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** The Fault that an error answer tells of: a problem (RFC 9457), OpenAI's shape, or anything else. */
export function faultOf(status: number, text: string, url: string): Fault {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  if (isObject(body) && isObject(body.error)) return fromParts(status, fromOpenAi(body.error));
  if (isObject(body)) return fromParts(status, body);
  return new Fault(codeOf(status), `${url} answered with status ${status}.`, { source: 'upstream' });
}

/** Any error as it comes inside a stream: a problem, or OpenAI's shape. */
export function faultOfProblem(problem: unknown): Fault {
  if (!isObject(problem)) return new Fault('INTERNAL', 'The platform reported an error and did not say which.');
  const parts = isObject(problem.error) ? fromOpenAi(problem.error) : problem;
  return fromParts(typeof parts.status === 'number' ? parts.status : 500, parts);
}

/** OpenAI's shape as a problem: its codes are ours in lower case, where it has none of its own. */
const fromOpenAi = ({
  code,
  trace_id: traceId,
  details,
  ...rest
}: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> => ({
  ...(isObject(details) ? details : {}),
  ...rest,
  traceId,
  code: typeof code === 'string' ? code.toUpperCase() : undefined,
});

function fromParts(status: number, parts: Readonly<Record<string, unknown>>): Fault {
  const {
    code,
    detail,
    title,
    message,
    traceId,
    retryAfter,
    source,
    param,
    type: _type,
    status: _status,
    ...rest
  } = parts;
  const text = [detail, message, title].find((candidate) => typeof candidate === 'string' && candidate !== '');
  const options: FaultOptions = {
    details: { ...rest, ...(typeof traceId === 'string' ? { traceId } : {}) },
    ...(typeof retryAfter === 'number' ? { retryAfter } : {}),
    ...(typeof param === 'string' ? { param } : {}),
    ...(source === 'upstream' ? { source } : {}),
  };
  return new Fault(isCode(code) ? code : codeOf(status), String(text ?? `status ${status}`), options);
}

const isCode = (value: unknown): value is FaultCode => typeof value === 'string' && Object.hasOwn(faults, value);

function codeOf(status: number): FaultCode {
  const known = (Object.keys(faults) as FaultCode[]).find((code) => faults[code].status === status);
  return known ?? (status >= 500 ? 'INTERNAL' : 'BAD_REQUEST');
}
