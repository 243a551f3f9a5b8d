import type { Fault } from '#kernel/faults';
import { anthropicError, openaiError, problemOf } from './errors.ts';

/** How an API of those the door speaks tells of errors. */
export interface Dialect {
  readonly contentType: string;
  body(fault: Fault, traceId: string): Record<string, unknown>;
  /** The same as the last thing of a stream that has begun. */
  inStream(body: Record<string, unknown>): string;
}

const json = 'application/json; charset=utf-8';

const openai: Dialect = {
  contentType: json,
  body: openaiError,
  inStream: (body) => `data: ${JSON.stringify(body)}\n\n`,
};

const anthropic: Dialect = {
  contentType: json,
  body: anthropicError,
  inStream: (body) => `event: error\ndata: ${JSON.stringify(body)}\n\n`,
};

const ollama: Dialect = {
  contentType: json,
  body: ({ message }) => ({ error: message }),
  inStream: (body) => `${JSON.stringify(body)}\n`,
};

const responses: Dialect = {
  ...openai,
  inStream(body) {
    const error = body.error as { readonly code: unknown; readonly message: unknown; readonly param: unknown };
    const event = { type: 'error', code: error.code, message: error.message, param: error.param };
    return `event: error\ndata: ${JSON.stringify(event)}\n\n`;
  },
};

const problems: Dialect = {
  contentType: 'application/problem+json; charset=utf-8',
  body: problemOf,
  inStream: (body) => `event: error\ndata: ${JSON.stringify(body)}\n\n`,
};

export const isAnthropic = (path: string): boolean => path === '/v1/messages' || path.startsWith('/v1/messages/');
export const isOllama = (path: string): boolean => path === '/api' || path.startsWith('/api/');
/** Cohere's and Jina's addresses for it. */
export const isRerank = (path: string): boolean => ['/v1/rerank', '/v2/rerank', '/rerank'].includes(path);
const isOpenai = (path: string): boolean => path === '/v1' || path.startsWith('/v1/') || isRerank(path);

/** The one in which a caller of this path expects errors. */
export function dialectOf(path: string): Dialect {
  if (isAnthropic(path)) return anthropic;
  if (isOllama(path)) return ollama;
  if (path === '/v1/responses') return responses;
  return isOpenai(path) ? openai : problems;
}
