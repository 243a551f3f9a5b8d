import type { HeaderChanges } from '#config/middlewares';
import { changeHeaders } from './change-headers.ts';
import type { MakeMiddleware } from './middleware.ts';

/** What the client gets to see of the answer's headers, errors of the door among them. */
export const responseHeaders: MakeMiddleware<HeaderChanges> = (changes) => ({ response: changeHeaders(changes) });
