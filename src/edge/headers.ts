import type { IncomingMessage } from 'node:http';
import { newSpanId } from '#kernel/ids';
import type { Exchange } from './exchange.ts';
import { isOfTheWay, wayHeaders } from './protocols/peer.ts';
import type { HeaderList } from './transport/fields.ts';

/** Headers that speak of one connection only (RFC 9110, section 7.6.1) and never travel on. */
const hopByHop: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'],
]);

/** What clients say to the door, and what it says itself. */
const replaced: ReadonlySet<string> = new Set(['x-sutaz-key', 'x-sutaz-console', 'traceparent']);

const ourCookie = /^\s*sutaz_/;

/** Names that the message's own Connection header takes out, beside the fixed ones; null for the usual ones, which name none. */
function namedByConnection(connection: string | undefined): ReadonlySet<string> | null {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return null;
  return new Set(
    connection
      .toLowerCase()
      .split(',')
      .map((name) => name.trim()),
  );
}

export interface Onward {
  /** The path prefix under which the client sees the service: `/services/chroma`, or nothing. */
  readonly prefix: string;
  /** The upstream's own key, in place of the caller's. */
  readonly key: string | null;
}

/** The headers with which a request travels on: without what is of this connection, our keys and our cookies. */
export function requestHeaders(exchange: Exchange, onward: Onward): string[] {
  const { headers } = exchange.req;
  const named = namedByConnection(headers.connection);
  const own: string[] = [];
  for (const name in headers) {
    const value = headers[name];
    if (value === undefined || hopByHop.has(name) || replaced.has(name) || named?.has(name)) continue;
    if (name === 'authorization' && (exchange.keyInAuthorization || onward.key !== null)) continue;
    if (name === 'x-api-key' && exchange.keyInApiKey) continue;
    if (isOfTheWay(name)) continue;
    if (name === 'cookie') pushCookie(own, String(value));
    else if (typeof value === 'string') own.push(name, value);
    else for (const one of value) own.push(name, one);
  }
  if (onward.key !== null) own.push('authorization', `Bearer ${onward.key}`);
  own.push(...wayHeaders(exchange.req, exchange.peer, onward.prefix), 'traceparent', traceparentOf(exchange));
  return own;
}

/** What a server needs to answer a call: cookies, addresses and whatever else browsers tell are no affair of one elsewhere. */
const needed = ['content-type', 'accept', 'accept-encoding'] as const;

/** The headers with which a call travels to a model's server elsewhere. */
export function bareHeaders(exchange: Exchange, key: string | null): string[] {
  const { headers } = exchange.req;
  const own = needed.flatMap((name) => (headers[name] === undefined ? [] : [name, headers[name]]));
  if (key !== null) own.push('authorization', `Bearer ${key}`);
  own.push('traceparent', traceparentOf(exchange));
  return own;
}

/** W3C's trace context, with the door as the parent of what the upstream does. */
export const traceparentOf = ({ traceId }: Exchange): string => `00-${traceId}-${newSpanId()}-01`;

function pushCookie(headers: string[], cookie: string): void {
  const kept = ourCookie.test(cookie) || cookie.includes('sutaz_') ? withoutOurs(cookie) : cookie;
  if (kept !== '') headers.push('cookie', kept);
}

const withoutOurs = (cookie: string): string =>
  cookie
    .split(';')
    .filter((pair) => !ourCookie.test(pair))
    .join(';')
    .trim();

/** The headers with which an answer goes back. A redirect within the service, which is at `origin`, stays within its prefix. */
export function responseHeaders(headers: HeaderList, exchange: Exchange, prefix: string, origin = ''): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    if (name === 'server-timing' || name === 'x-sutaz-trace-id') continue;
    // Ours name who may act here: no service sets them.
    if (name === 'set-cookie' && ourCookie.test(value)) continue;
    kept.push(name, name === 'location' ? redirected(value, exchange, prefix, origin) : value);
  }
  kept.push('x-sutaz-trace-id', exchange.traceId);
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

export const hasBody = (headers: {
  'content-length'?: string | undefined;
  'transfer-encoding'?: string | undefined;
}): boolean =>
  headers['transfer-encoding'] !== undefined ||
  (headers['content-length'] !== undefined && headers['content-length'] !== '0');
