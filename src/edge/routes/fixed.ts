import type { Route } from '#config/routes';
import type { Exchange } from '../exchange.ts';

type Redirect = NonNullable<Route['redirect']>;
type FixedAnswer = NonNullable<Route['answer']>;

export function sendAnswer({ res, method, traceId }: Exchange, { status, type, body }: FixedAnswer): 'answered' {
  const bytes = Buffer.from(body);
  const isEmpty = status === 204 || status === 304;
  const shape = isEmpty ? {} : { 'content-type': type, 'content-length': bytes.byteLength };
  res.writeHead(status, { ...shape, 'x-sutaz-trace-id': traceId });
  res.end(method === 'HEAD' || isEmpty ? undefined : bytes);
  return 'answered';
}

/** The query goes along. What `*` stands for is put in the place of that in `to`. */
export function sendRedirect(exchange: Exchange, pattern: string | undefined, { to, status }: Redirect): 'answered' {
  const { res, path, traceId, req } = exchange;
  const mark = req.url?.indexOf('?') ?? -1;
  const query = mark < 0 ? '' : (req.url?.slice(mark) ?? '');
  const location = to.endsWith('/*') ? to.slice(0, -2) + restOf(path, pattern) : to;
  const more = location.includes('?') ? query.replace('?', '&') : query;
  res.writeHead(status, { location: location + more, 'content-length': 0, 'x-sutaz-trace-id': traceId }).end();
  return 'answered';
}

/** Begins with one slash: with two, or with a backslash, it would name another host to a browser. */
function restOf(path: string, pattern: string | undefined): string {
  const from = pattern?.endsWith('/*') ? pattern.length - 2 : 0;
  return path.slice(from).replace(/^[/\\]*/, '/');
}
