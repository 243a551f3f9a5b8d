import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { randomBytes } from 'node:crypto';
import type { Exchange } from './exchange.ts';

/** Headers that speak of one connection only (RFC 9110, section 7.6.1) and never travel on. */
const hopByHop = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'],
]);

const ourCookie = /^\s*sutaz_/;

/** Every name that the message's own Connection header takes out, beside the fixed ones. */
function connectionOnly(headers: IncomingHttpHeaders): ReadonlySet<string> {
  const named = headers.connection?.toLowerCase().split(',') ?? [];
  return named.length === 0 ? hopByHop : new Set([...hopByHop, ...named.map((name) => name.trim())]);
}

export interface Onward {
  /** The path prefix under which the client sees the service: `/services/chroma`, or nothing. */
  readonly prefix: string;
  /** The upstream's own key, in place of the caller's. */
  readonly key: string | null;
  readonly remote: string | undefined;
}

/** The headers with which a request travels on: without what is of this connection, our keys and our cookies. */
export function requestHeaders(exchange: Exchange, onward: Onward): Record<string, string | string[]> {
  const { req } = exchange;
  const drop = connectionOnly(req.headers);
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(req.headers)) {
    if (value === undefined || drop.has(name) || name === 'x-sutaz-key' || name === 'x-sutaz-console') continue;
    headers[name] = value;
  }
  if (exchange.keyInAuthorization) delete headers.authorization;
  if (exchange.keyInApiKey) delete headers['x-api-key'];
  stripCookies(headers);
  if (onward.key !== null) headers.authorization = `Bearer ${onward.key}`;
  // What a client claims of the way before us is not ours to vouch for: the chain begins here.
  headers['x-forwarded-for'] = onward.remote ?? 'unknown';
  headers['x-forwarded-proto'] = 'http';
  headers['x-forwarded-host'] = req.headers.host ?? '';
  if (onward.prefix) headers['x-forwarded-prefix'] = onward.prefix;
  headers.traceparent = `00-${exchange.traceId}-${randomBytes(8).toString('hex')}-01`;
  return headers;
}

function stripCookies(headers: Record<string, string | string[]>): void {
  if (typeof headers.cookie !== 'string') return;
  const kept = headers.cookie.split(';').filter((pair) => !ourCookie.test(pair));
  if (kept.length > 0) headers.cookie = kept.join(';').trim();
  else delete headers.cookie;
}

/** The headers with which an answer goes back. A redirect within the service, which is at `origin`, stays within its prefix. */
export function responseHeaders(
  headers: IncomingHttpHeaders,
  exchange: Exchange,
  prefix: string,
  origin = '',
): Record<string, string | string[]> {
  const drop = connectionOnly(headers);
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || drop.has(name) || name === 'server-timing') continue;
    kept[name] = value;
  }
  // Ours name who may act here: no service sets them.
  if (headers['set-cookie']) kept['set-cookie'] = headers['set-cookie'].filter((cookie) => !ourCookie.test(cookie));
  if (headers.location !== undefined) kept.location = redirected(headers.location, exchange, prefix, origin);
  kept['x-sutaz-trace-id'] = exchange.traceId;
  return kept;
}

/**
 * Where a redirect leads as the client sees it. Services write their own address in full, by the Host they were asked for
 * or by the port they listen on, which nobody outside should go to.
 */
function redirected(location: string, { req }: Exchange, prefix: string, origin: string): string {
  for (const own of [`http://${req.headers.host ?? ''}`, `https://${req.headers.host ?? ''}`, origin]) {
    const rest = own && location.startsWith(own) ? location.slice(own.length) : null;
    if (rest !== null && /^([/?#]|$)/.test(rest)) return `${prefix}${rest.startsWith('/') ? '' : '/'}${rest}`;
  }
  return location.startsWith('/') && !location.startsWith('//') ? `${prefix}${location}` : location;
}

/** `Server-Timing: queue;dur=0.1, wake;dur=812, upstream;dur=5.2`, in milliseconds. */
export const serverTiming = (queueMs: number, wakeMs: number, upstreamMs: number): string =>
  `queue;dur=${queueMs.toFixed(1)}, wake;dur=${wakeMs.toFixed(1)}, upstream;dur=${upstreamMs.toFixed(1)}`;

/** The same of a call that was made of another one. */
export const timingHeader = (timing: {
  readonly queueMs: number;
  readonly wakeMs: number;
  readonly totalMs: number;
}): Record<string, string> => ({ 'server-timing': serverTiming(timing.queueMs, timing.wakeMs, timing.totalMs) });

/** Whether the caller is a browser that wants to see a page. */
export const wantsPage = (req: IncomingMessage): boolean =>
  req.method === 'GET' && (req.headers.accept ?? '').includes('text/html');
