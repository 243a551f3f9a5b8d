import { isProtected } from '#config/routes';
import { Fault } from '#kernel/faults';
import type { Waker } from '#routing/wake';
import { authenticate, demandOwnHost, demandService } from '../auth.ts';
import type { Exchange } from '../exchange.ts';
import { forward } from '../forward.ts';
import { guardOf } from '../guards.ts';
import { throughHttpCache } from '../http-cache/serve.ts';
import { handleService, isSession } from '../services.ts';
import type { Address, ServiceDeps } from '../services.ts';
import { changeAnswer } from './answer.ts';
import { packAnswer } from './pack-answer.ts';
import { changeBody, modelIn } from './body.ts';
import { sendAnswer, sendRedirect } from './fixed.ts';
import { byItsName, outsideUnit } from './outside.ts';
import type { CompiledRoute, RouteTable } from './table.ts';

export interface Routes {
  /** Those of now; null without any. A request keeps to the end what it was given at its beginning. */
  table(): RouteTable | null;
  /** For addresses that only routes know. */
  readonly outside: Waker;
}

export interface RouteDeps extends ServiceDeps {
  readonly routes: Routes;
  readonly limits: () => { readonly body: number };
}

/** The routes that may be this request's; null for none, and where none are configured that is all. */
export function routesFor(exchange: Exchange, { routes, identity }: RouteDeps): readonly CompiledRoute[] | null {
  const table = routes.table();
  if (table === null) return null;
  const { path, method, req } = exchange;
  return table.find({ path, method, host: req.headers.host, headers: req.headers }, identity.hosts());
}

/**
 * Does what the request's route says. In this order:
 * 1. a redirect or an answer that is for everyone needs no key; everything else does, before its body is read;
 * 2. of routes that ask for the model, the body decides; where none is left, the door goes on as if there were none;
 * 3. what goes to a service or elsewhere goes there, by the scope of its target;
 * 4. the rest goes on in the door by its new path, and by the guard of that one.
 */
export async function serveRoute(
  exchange: Exchange,
  found: readonly CompiledRoute[],
  deps: RouteDeps,
): Promise<'answered' | 'on' | null> {
  if (found[0]?.said.match.host === undefined) demandOwnHost(exchange.req, deps.identity);
  if (found[0]?.said.public !== true) exchange.principal = await authenticate(exchange, deps.identity); // 1
  const route = await choose(exchange, found, deps); // 2
  if (!route) return null;
  const { redirect, answer, to } = route.said;
  if (redirect) return sendRedirect(exchange, route.said.match.path, redirect);
  if (answer) return sendAnswer(exchange, answer);
  if (to?.service !== undefined)
    await toService(exchange, route, to.service, deps); // 3
  else if (to?.url !== undefined) await toOutside(exchange, route, to.url, deps);
  else return onInDoor(exchange, route, deps); // 4
  return 'answered';
}

async function choose(
  exchange: Exchange,
  found: readonly CompiledRoute[],
  deps: RouteDeps,
): Promise<CompiledRoute | undefined> {
  if (found[0]?.fitsModel === null) return found[0];
  // Elsewhere nothing is read for the sake of a route: it may be a file of some gigabytes.
  const guarded = guardOf(exchange);
  const asksModel = guarded?.guard.scope === 'models:use' && guarded.allow === null;
  const model = asksModel ? await modelIn(exchange, deps.limits().body) : null;
  return found.find(({ fitsModel }) => fitsModel === null || (model !== null && fitsModel(model)));
}

async function toService(exchange: Exchange, route: CompiledRoute, service: string, deps: RouteDeps): Promise<void> {
  demandService(exchange, service);
  const address = addressIn(exchange, route, service);
  // A page of a service's must not stand where a session counts: it is shown at the service's own name.
  if (isSession(exchange)) return handleService(exchange, { ...address, prefix: address.prefix || '/' }, deps);
  deps.limiter.admit(exchange, service);
  await change(exchange, route, deps);
  return keptOr(exchange, route, address, deps, () => handleService(exchange, address, deps));
}

async function toOutside(exchange: Exchange, route: CompiledRoute, url: string, deps: RouteDeps): Promise<void> {
  demandService(exchange, route.name);
  if (isSession(exchange)) {
    throw new Fault(
      'FORBIDDEN',
      `The route ${route.name} leads elsewhere: it takes a key, and no session of a browser's.`,
    );
  }
  deps.limiter.admit(exchange, route.name);
  const { path, prefix } = addressIn(exchange, route, route.name);
  await change(exchange, route, deps);
  const stream = (exchange.req.headers.accept ?? '').trim().startsWith('text/event-stream');
  const onward = { unit: outsideUnit(url), path, prefix, body: exchange.gathered, stream };
  const outside = { ...deps, waker: deps.routes.outside, upstreams: byItsName(deps.upstreams) };
  return keptOr(exchange, route, { path, prefix }, deps, () => forward(exchange, onward, outside));
}

/** What the route's cache has, where it has one, or what the target says. */
function keptOr(
  exchange: Exchange,
  { keeping }: CompiledRoute,
  { path, prefix }: Pick<Address, 'path' | 'prefix'>,
  { clock }: RouteDeps,
  onward: () => Promise<void>,
): Promise<void> {
  return keeping ? throughHttpCache(keeping, exchange, { path, prefix, onward }, clock) : onward();
}

async function onInDoor(exchange: Exchange, route: CompiledRoute, deps: RouteDeps): Promise<'on'> {
  const path = rewritten(exchange.path, route);
  if (isProtected(path)) throw new Fault('NOT_FOUND', `The route ${route.name} does not lead to ${path}.`);
  exchange.req.url = path + queryOf(exchange);
  exchange.path = path;
  await change(exchange, route, deps);
  return 'on';
}

/** Where a WebSocket goes that a route sends to a service, and what is done to its headers once its caller is known. */
export function upgradeRoute(
  exchange: Exchange,
  deps: RouteDeps,
): { readonly address: Address; change(): void } | null {
  const route = routesFor(exchange, deps)?.find(({ fitsModel }) => fitsModel === null);
  const service = route?.said.to?.service;
  if (!route || service === undefined) return null;
  return { address: addressIn(exchange, route, service), change: () => changeRequest(exchange, route) };
}

async function change(exchange: Exchange, route: CompiledRoute, deps: RouteDeps): Promise<void> {
  await changeBody(exchange, route, deps.limits().body);
  if (route.packing) packAnswer(exchange, route.packing);
  changeRequest(exchange, route);
  changeAnswer(exchange, route);
}

function changeRequest({ req: { headers } }: Exchange, route: CompiledRoute): void {
  for (const one of route.request) one(headers);
  // What is compressed, or a part of something, cannot be changed on its way back.
  if (route.answerJson.length > 0) for (const name of ['accept-encoding', 'range', 'if-range']) delete headers[name];
}

const rewritten = (path: string, route: CompiledRoute): string => route.path.reduce((at, one) => one(at), path);

const queryOf = ({ req: { url = '' } }: Exchange): string => (url.includes('?') ? url.slice(url.indexOf('?')) : '');

/** What the client's path has before that which the target sees is where redirects of the target's lead. */
function addressIn(exchange: Exchange, route: CompiledRoute, service: string): Address {
  const path = rewritten(exchange.path, route);
  const whole = path === '/' && !exchange.path.endsWith('/') ? `${exchange.path}/` : exchange.path;
  const prefix = whole.endsWith(path) ? whole.slice(0, whole.length - path.length) : '';
  return { service, path: path + queryOf(exchange), prefix };
}
