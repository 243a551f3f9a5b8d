import { createHttpCache } from '../http-cache/serve.ts';
import type { HttpCacheSettings } from '../http-cache/serve.ts';
import type { MakeMiddleware } from './middleware.ts';

/** What a service declares may be kept, is. Each route, and each configuration, has a cache of its own. */
export const httpCache: MakeMiddleware<HttpCacheSettings> = (settings) => ({ keeping: createHttpCache(settings) });
