import type { MakeMiddleware } from './middleware.ts';

/** `/users` becomes `/api/users`. */
export const addPrefix: MakeMiddleware<string> = (prefix) => ({ path: (path) => prefix + path });
