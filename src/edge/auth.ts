import type { IncomingMessage } from 'node:http';
import { Fault } from '#kernel/faults';
import type { Scope } from '#kernel/scopes';
import { isSameOrigin, nameHost } from '#security/hosts';
import type { Damping } from '#security/damping';
import { isToken } from '#security/issuers';
import type { Issuers } from '#security/issuers';
import type { Principal } from '#security/principal';
import { allows } from '#security/scopes';
import type { Sessions } from '#security/sessions';
import { header } from './exchange.ts';
import type { Exchange } from './exchange.ts';

export interface Identity {
  readonly verifyKey: (key: string) => Principal | null;
  /** Tokens of outside issuers. */
  readonly tokens: Pick<Issuers, 'known' | 'verify'>;
  readonly damping: Damping;
  /** An address has just shown one wrong key too many. */
  readonly onFlood: (address: string, exchange: Exchange) => void;
  readonly sessions: Sessions;
  /** Host names beside loopback's under which the door is known. */
  readonly hosts: () => readonly string[];
}

export const sessionCookie = 'sutaz_session';

/** The header that gives a browser its session. Over TLS the browser is told to send it over nothing else. */
export const setSession = ({ peer }: Pick<Exchange, 'peer'>, token: string, sameSite: 'Lax' | 'Strict'): string =>
  `${sessionCookie}=${token}; Path=/; HttpOnly; SameSite=${sameSite}${peer.secure ? '; Secure' : ''}`;

/** The service whose own host name the request was sent to; null for one to the door itself, or to nobody known. */
export function serviceOfHost(req: IncomingMessage, identity: Identity): string | null {
  const named = nameHost(req.headers.host, identity.hosts());
  return named.kind === 'service' ? named.id : null;
}

/** Throws FORBIDDEN for a name that is not the door's. */
export function demandOwnHost(req: IncomingMessage, identity: Identity): void {
  if (nameHost(req.headers.host, identity.hosts()).kind !== 'unknown') return;
  throw new Fault(
    'FORBIDDEN',
    `The host ${req.headers.host ?? '(none)'} is not a name of this door. Add it to listen.hosts if it should be.`,
  );
}

/**
 * Names the caller, or throws UNAUTHENTICATED; RATE_LIMITED once too many wrong keys came from its address. In this order:
 * 1. `X-Sutaz-Key`, for services that need the Authorization header for themselves;
 * 2. `Authorization: Bearer`, and `x-api-key` as Anthropic's clients send it;
 * 3. the session cookie, when the request comes from a page of this very origin.
 * At a service's own host name, a key of 2 that nobody here knows is the service's own (its pages send their tokens so), and
 * the session decides.
 */
export function authenticate(
  exchange: Exchange,
  identity: Identity,
  atService = false,
): Principal | Promise<Principal> {
  const shown = shownIn(exchange.req);
  if (!shown) return holderOfSession(exchange, identity);
  const known = identity.verifyKey(shown.given);
  return known ? accepted(exchange, shown, known) : holderElsewhere(exchange, shown, identity, atService);
}

/** What a request shows, in the order in which it counts. */
interface Shown {
  readonly own: string | undefined;
  readonly bearer: string | undefined;
  readonly apiKey: string | undefined;
  readonly given: string;
}

function shownIn(req: IncomingMessage): Shown | null {
  const own = header(req, 'x-sutaz-key');
  const bearer = /^bearer\s+(.+)$/i.exec(header(req, 'authorization') ?? '')?.[1]?.trim();
  const apiKey = header(req, 'x-api-key');
  const given = own ?? bearer ?? apiKey;
  return given === undefined ? null : { own, bearer, apiKey, given };
}

function accepted(exchange: Exchange, { bearer, apiKey, given }: Shown, principal: Principal): Principal {
  // One key may stand in several headers: wherever it does, it stays here.
  exchange.keyInAuthorization = bearer === given;
  exchange.keyInApiKey = apiKey === given;
  return principal;
}

/** It is no key of ours: the token of an outside issuer, or at a service's own name the service's. */
async function holderElsewhere(
  exchange: Exchange,
  shown: Shown,
  identity: Identity,
  atService: boolean,
): Promise<Principal> {
  const principal = await holderOf(shown.given, exchange, identity);
  if (principal) return accepted(exchange, shown, principal);
  const hasSession = atService && shown.own === undefined && cookie(exchange.req, sessionCookie) !== undefined;
  if (hasSession) return holderOfSession(exchange, identity);
  throw wrongKey(exchange, identity);
}

function holderOfSession({ req }: Exchange, identity: Identity): Principal {
  const session = cookie(req, sessionCookie);
  const principal = session === undefined ? null : identity.sessions.verify(session);
  if (!principal) {
    throw new Fault(
      'UNAUTHENTICATED',
      'A key is needed: send it as "Authorization: Bearer $(sutaz key)", or open the console with `sutaz console`.',
    );
  }
  if (!isSameOrigin(factsOf(req))) throw new Fault('FORBIDDEN', 'This request comes from a page of another origin.');
  return principal;
}

/** Behind a trusted proxy everybody would share its address, and one with a wrong key would damp them all. */
const remoteOf = ({ client }: Exchange): string => client ?? '';

/** Of a token; null for what is none. To look at a signature is work: a damped address has none done. */
async function holderOf(given: string, exchange: Exchange, { tokens, damping }: Identity): Promise<Principal | null> {
  if (!isToken(given)) return null;
  return tokens.known(given) ?? (damping.wait(remoteOf(exchange)) === null ? tokens.verify(given) : null);
}

function wrongKey(exchange: Exchange, { damping, onFlood }: Identity): Fault {
  const address = remoteOf(exchange);
  const seconds = damping.wait(address);
  if (seconds !== null) return tooManyWrong(seconds);
  if (damping.wrong(address)) onFlood(address, exchange);
  return new Fault('UNAUTHENTICATED', 'This key is not known here. `sutaz key` prints the right one.');
}

const tooManyWrong = (seconds: number): Fault =>
  new Fault('RATE_LIMITED', 'Too many wrong keys came from this address: the next is looked at later.', {
    retryAfter: seconds,
  });

const factsOf = (req: IncomingMessage) => ({
  method: req.method ?? 'GET',
  host: req.headers.host,
  origin: req.headers.origin,
  fetchSite: header(req, 'sec-fetch-site'),
  fetchMode: header(req, 'sec-fetch-mode'),
  upgrade: req.headers.upgrade !== undefined,
});

export function cookie(req: IncomingMessage, name: string): string | undefined {
  for (const pair of req.headers.cookie?.split(';') ?? []) {
    const equals = pair.indexOf('=');
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return undefined;
}

/** Throws FORBIDDEN unless the caller has the scope, for all there is or for some of it. */
export function demandScope(exchange: Exchange, scope: Scope): void {
  if (exchange.principal && allows(exchange.principal.rights, scope)) return;
  throw new Fault('FORBIDDEN', `This needs a key with the scope ${scope}.`);
}

/** Throws FORBIDDEN unless the caller may reach the service. */
export function demandService(exchange: Exchange, service: string): void {
  const { principal } = exchange;
  if (principal && allows(principal.rights, 'services:use', service)) return;
  throw new Fault('FORBIDDEN', `This key may not use ${service}.`);
}
