import type { Packing } from '#config/middlewares';
import type { HttpCache } from '../http-cache/serve.ts';

/** Names in lower case; several values of one name in a list. */
export type Headers = Record<string, string | string[] | undefined>;
export type JsonObject = Record<string, unknown>;

/**
 * What is done to what passes a route. Each function is called as far as it is there, in this order; each may change what
 * it is handed in place, and throws a Fault to refuse the request.
 */
export interface Middleware {
  /** Returns the path as the target sees it. */
  path?(path: string): string;
  /** The request's headers, before it goes on. */
  request?(headers: Headers): void;
  /** The request's body, where it is a JSON object. With this function there, any other body is refused. */
  requestJson?(body: JsonObject): void;
  /** The answer's headers. */
  response?(headers: Headers): void;
  /** The answer is packed, after all that changes it. */
  readonly packing?: Packing;
  /** Answers of a service are kept in it, as they were before anything changed them. */
  readonly keeping?: HttpCache;
  /** The answer's body, where it is a JSON object; of a stream, each event that is one. */
  answerJson?(body: JsonObject): void;
}

/** Makes one of its options, once for each configuration. */
export type MakeMiddleware<Options> = (options: Options) => Middleware;
