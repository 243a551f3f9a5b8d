import type { MakeMiddleware } from './middleware.ts';

/** `/manual/intro` becomes `/intro`, `/manual` becomes `/`. A path that begins otherwise stays as it is. */
export const stripPrefix: MakeMiddleware<string> = (prefix) => ({
  path(path) {
    if (path === prefix) return '/';
    return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
  },
});
