import type { HeaderChanges } from '#config/middlewares';
import { changeHeaders } from './change-headers.ts';
import type { MakeMiddleware } from './middleware.ts';

/** What the target gets to see of the request's headers. The caller was named before, by the headers as they came. */
export const requestHeaders: MakeMiddleware<HeaderChanges> = (changes) => ({ request: changeHeaders(changes) });
