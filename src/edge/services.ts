import { Fault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { sessionCookie, setSession } from './auth.ts';
import type { Identity } from './auth.ts';
import { header, readBody } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { forward } from './forward.ts';
import type { ForwardDeps } from './forward.ts';
import { hasBody, wantsPage } from './headers.ts';
import { inOrder } from './models.ts';
import { waitingPage } from './waiting-page.ts';

export interface ServiceDirectory {
  /** Services that answer in its place when it cannot be brought up or fails, in their order. */
  fallbacks(service: string): readonly string[];
  /** The unit of a service; throws NOT_FOUND with the nearest names. */
  unit(service: string): UnitId;
  /** Its name for people, and why it is in its state. */
  describe(unit: UnitId): { readonly title: string; readonly why: string };
}

export interface ServiceDeps extends ForwardDeps {
  readonly services: ServiceDirectory;
  readonly identity: Identity;
  /** `8080`, as it stands in addresses. */
  readonly port: () => number;
}

/** A service under its own host name `chroma.localhost`, or under the door's path `/services/chroma/`. */
export interface Address {
  readonly service: string;
  /** Path and query as the service sees them. */
  readonly path: string;
  /** What the client's path has before that. */
  readonly prefix: string;
}

/** Milliseconds a browser's page holds its place after it was last asked for; the page asks each second. */
const pageHoldMs = 10_000;

export async function handleService(exchange: Exchange, address: Address, deps: ServiceDeps): Promise<void> {
  const unit = deps.services.unit(address.service);
  if (isSession(exchange) && address.prefix) return moveToOwnHost(exchange, address, deps);
  // One that cannot run here will not wake: asking for it says why.
  const canWake = deps.waker.progress(unit).phase !== 'unknown';
  if (wantsPage(exchange.req) && canWake && !deps.waker.isReady(unit)) return showWaiting(exchange, unit, deps);
  // Who would take something else as well may get something else: only who wants nothing but events is told by them.
  const stream = (exchange.req.headers.accept ?? '').trim().startsWith('text/event-stream');
  const fallbacks = deps.services.fallbacks(address.service);
  const body = exchange.gathered ?? (await repeatableBody(exchange, unit, fallbacks, deps));
  // What goes on as it comes can be sent once.
  const services = [address.service, ...(body === null && hasBody(exchange.req.headers) ? [] : fallbacks)];
  await inOrder(exchange, services, (service, more) => {
    const onward = {
      unit: deps.services.unit(service),
      path: address.path,
      prefix: address.prefix,
      body,
      stream,
      more,
    };
    return forward(exchange, onward, deps);
  });
}

/** Bytes of a body that are kept, so that it can be sent to another place when the first one does not take it. */
const mostKept = 2 ** 20;

/** Null for one that goes on as it comes, or when there is none. */
async function repeatableBody(
  exchange: Exchange,
  unit: UnitId,
  fallbacks: readonly string[],
  { waker }: ServiceDeps,
): Promise<Buffer | null> {
  const { endpoints, policy } = waker.picker(unit);
  const isRepeated = fallbacks.length > 0 || (endpoints.length > 0 && policy.retry.tries > 1);
  const bytes = Number(header(exchange.req, 'content-length') ?? 0);
  return isRepeated && bytes > 0 && bytes <= mostKept ? readBody(exchange, mostKept) : null;
}

/**
 * A page of a service must not share its origin with the console: its scripts could act with the console's cookie. So a
 * browser is sent to the service's own host name, with a ticket that is good for that service only.
 */
function moveToOwnHost(exchange: Exchange, address: Address, { identity, port }: ServiceDeps): void {
  const { service } = address;
  if (!exchange.principal) throw new Fault('UNAUTHENTICATED', 'A key is needed.');
  const { token } = identity.sessions.ticket(exchange.principal, [`services:use:${service}`]);
  const mark = address.path.includes('?') ? '&' : '?';
  const scheme = exchange.peer.secure ? 'https' : 'http';
  const location = `${scheme}://${service}.localhost:${port()}${address.path}${mark}${ticketParameter}=${token}`;
  exchange.res.writeHead(303, { location, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' });
  exchange.res.end();
}

export const ticketParameter = 'sutaz_ticket';

/** Turns a ticket in the address into a cookie of this host name, and takes it out of the address. */
export function redeemTicket(exchange: Exchange, identity: Identity): boolean {
  const ticket = exchange.query.get(ticketParameter);
  if (ticket === null) return false;
  const session = identity.sessions.redeem(ticket);
  exchange.query.delete(ticketParameter);
  const query = exchange.query.toString();
  const headers: Record<string, string> = {
    // `//elsewhere` and `/\\elsewhere` are other hosts to a browser, and anyone may write such a link.
    location: exchange.path.replace(/^[/\\]*/, '/') + (query ? `?${query}` : ''),
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
  };
  // Lax, since the way here was a link of the console's, which is another site.
  if (session) headers['set-cookie'] = setSession(exchange, session.token, 'Lax');
  exchange.res.writeHead(303, headers);
  exchange.res.end();
  return true;
}

/** Whether a browser's session vouches for it, and no key. */
export const isSession = (exchange: Exchange): boolean =>
  exchange.req.headers.cookie?.includes(`${sessionCookie}=`) === true &&
  exchange.req.headers.authorization === undefined &&
  exchange.req.headers['x-sutaz-key'] === undefined;

function showWaiting(exchange: Exchange, unit: UnitId, { waker, services }: ServiceDeps): void {
  waker.linger(unit, exchange.principal?.id ?? 'browser', pageHoldMs);
  const body = waitingPage({ ...services.describe(unit), progress: waker.progress(unit) });
  exchange.res.writeHead(503, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'retry-after': '1',
    'x-sutaz-trace-id': exchange.traceId,
  });
  exchange.res.end(body);
}
