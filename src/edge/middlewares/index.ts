import type { MiddlewareName, MiddlewareOptions, Step } from '#config/middlewares';
import { addPrefix } from './add-prefix.ts';
import { answerJson } from './answer-json.ts';
import { compress } from './compress.ts';
import { httpCache } from './http-cache.ts';
import type { MakeMiddleware, Middleware } from './middleware.ts';
import { requestHeaders } from './request-headers.ts';
import { requestJson } from './request-json.ts';
import { responseHeaders } from './response-headers.ts';
import { stripPrefix } from './strip-prefix.ts';

/** One for each name that the configuration knows. */
const makers: { readonly [N in MiddlewareName]: MakeMiddleware<MiddlewareOptions[N]> } = {
  stripPrefix,
  addPrefix,
  requestHeaders,
  responseHeaders,
  requestJson,
  answerJson,
  compress,
  httpCache,
};

export function makeMiddleware(step: Step): Middleware {
  const [[name, options] = []] = Object.entries(step);
  return (makers[name as MiddlewareName] as MakeMiddleware<unknown>)(options);
}
