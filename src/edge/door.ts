import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '#kernel/clock';
import { Fault, faults } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { nodeHttp } from '#kernel/node-http';
import { anyPlace } from '#routing/picker';
import type { Counter, Histogram } from '#observe/metrics';
import type { Audit } from '#security/audit';
import { demandAccess } from './access.ts';
import { auditChange } from './audited.ts';
import { authenticate, demandOwnHost, demandService, serviceOfHost } from './auth.ts';
import type { Identity } from './auth.ts';
import { sendLarge } from './compression/large.ts';
import { handleConsole, sendPage } from './console.ts';
import type { ConsoleFiles } from './console.ts';
import { handleControl } from './control.ts';
import type { ControlDeps } from './control.ts';
import { sendDescription } from './description.ts';
import { isAnthropic, isOllama, isRerank } from './dialects.ts';
import { beginExchange, decodeSegment, faultHeaders, onlyTakes, sendFault, sendJson } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { callerOf, serving, untilOver, wakePlain } from './forward.ts';
import { wantsPage } from './headers.ts';
import { guardOf } from './guards.ts';
import type { Moving } from './moving.ts';
import { handleAnthropic } from './anthropic/handler.ts';
import type { McpServing } from './mcp/handler.ts';
import { handleOllama } from './ollama/handler.ts';
import { createBodyWatch } from './protocols/body-watch.ts';
import type { BodyLimits } from './protocols/body-watch.ts';
import { demandSound, plainTarget } from './protocols/bounds.ts';
import type { RequestLimits } from './protocols/bounds.ts';
import { continueWhenRead } from './protocols/expect.ts';
import { handleOpenai } from './openai.ts';
import { permitted } from './permitted.ts';
import { handleRerank } from './rerank.ts';
import type { Peers } from './protocols/peer.ts';
import { needsTls, sendToTls } from './protocols/plain.ts';
import { lingerMs, refuseBytes, statusOf } from './protocols/refuse-bytes.ts';
import type { OpenaiDeps } from './openai.ts';
import { handleService, redeemTicket } from './services.ts';
import type { Address } from './services.ts';
import { routesFor, serveRoute, upgradeRoute } from './routes/serve.ts';
import type { RouteDeps } from './routes/serve.ts';
import { passUpgrade, refuseUpgrade } from './websocket.ts';

export interface DoorDeps extends OpenaiDeps, RouteDeps, ControlDeps {
  readonly identity: Identity;
  readonly audit: Pick<Audit, 'record'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly console: ConsoleFiles;
  readonly mcp: Pick<McpServing, 'serve'>;
  readonly renderMetrics: () => string;
  readonly moving: Moving;
  /** Null while ready, else why not. */
  readonly notReady: () => string | null;
  readonly limits: () => RequestLimits &
    BodyLimits & {
      readonly body: number;
      readonly headerTimeout: number;
      readonly keepAlive: number;
      readonly connections: number;
    };
  readonly peers: Peers;
  readonly requests: Counter;
  readonly seconds: Histogram;
}

/** The one listener. Everything that comes in passes here; nothing of the platform's is reached another way. */
export function createDoor(deps: DoorDeps): Server {
  const { headerTimeout, keepAlive, connections, headers: headerBytes, headerCount, url } = deps.limits();
  const server = nodeHttp.createServer({
    keepAliveTimeout: keepAlive,
    headersTimeout: headerTimeout,
    connectionsCheckingInterval: headerTimeout / 4,
    requestTimeout: 0,
    // Somewhat more is read than is allowed, so that who sends it learns which limit it was.
    maxHeaderSize: headerBytes + url,
    // Java's client and `curl --http2` offer HTTP/2 with every request: that is an offer, and HTTP/1.1 is an answer to it.
    shouldUpgradeCallback: ({ headers }) => !/\bh2c\b/i.test(headers.upgrade ?? ''),
  });
  server.maxConnections = connections;
  // Node leaves out what comes after so many: here they are counted, and refused.
  server.maxHeadersCount = headerCount + 1;
  const bodies = createBodyWatch(deps.clock, deps.limits);
  server.on('checkContinue', (req, res) => {
    continueWhenRead(req, res);
    server.emit('request', req, res);
  });
  server.on('connect', (_, socket) => refuseBytes('405 Method Not Allowed', socket as Socket, deps.clock));
  const take = (req: IncomingMessage, res: ServerResponse) => {
    plainTarget(req);
    const exchange = beginExchange(req, res, deps.clock.now(), deps.peers.trusts);
    res.on('close', () => measure(exchange, deps));
    bodies.watch(exchange);
    serve(exchange, deps)
      .catch((error: unknown) => refuse(exchange, error, deps))
      .finally(() => deps.limiter.settle(exchange));
  };
  const takeUpgrade = (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    const exchange = beginExchange(req, new nodeHttp.ServerResponse(req), deps.clock.now(), deps.peers.trusts);
    upgrade(exchange, { socket, head }, deps)
      .catch((error: unknown) => logFault(exchange, refuseUpgrade(exchange, socket, error), deps))
      .finally(() => deps.limiter.settle(exchange));
  };
  const { moving } = deps;
  server.on('request', (req, res) => moving.takes(req, res, () => take(req, res)) || take(req, res));
  server.on(
    'upgrade',
    (req: IncomingMessage, socket: Duplex, head: Buffer) =>
      moving.takesUpgrade(req, socket, head, () => takeUpgrade(req, socket, head)) || takeUpgrade(req, socket, head),
  );
  server.on('clientError', (error, socket) => refuseBytes(statusOf(error), socket as Socket, deps.clock));
  return server;
}

/**
 * Where a request goes. In this order:
 * 1. a host name `{id}.localhost` is that service, whatever the path;
 * 2. what a route of the configuration is about goes as that says, to its end or on with another path;
 * 3. what needs no key: whether the platform is well, the console's own files and the description of the API, which hold
 *    nothing;
 * 4. everything else needs a key, and the right that its guard asks for; then it goes by its path.
 */
async function serve(exchange: Exchange, deps: DoorDeps): Promise<void> {
  demandSound(exchange.req, deps.limits());
  if (deps.peers.needsTls(exchange.peer)) return sendToTls(exchange);
  if (!exchange.path.startsWith('/'))
    throw new Fault('BAD_REQUEST', 'The address of a request must begin with a slash.');
  const service = serviceOfHost(exchange.req, deps.identity);
  if (service !== null) {
    if (redeemTicket(exchange, deps.identity)) return; // 1
    exchange.principal = await authenticate(exchange, deps.identity, true);
    demandService(exchange, service);
    deps.limiter.admit(exchange, service);
    return handleService(exchange, { service, path: exchange.req.url ?? '/', prefix: '' }, deps);
  }
  const found = routesFor(exchange, deps);
  const routed = found && (await serveRoute(exchange, found, deps)); // 2
  if (routed === 'answered') return;
  const guarded = guardOf(exchange);
  if (!routed && !guarded?.guard.anyHost) demandOwnHost(exchange.req, deps.identity);
  if (guarded?.guard.scope === null) return serveOpen(exchange, deps); // 3
  // A route asks first, by the headers as they came; it may have taken some away since.
  const known = exchange.principal ?? authenticate(exchange, deps.identity); // 4
  exchange.principal = known instanceof Promise ? await known : known;
  auditChange(exchange, guarded, deps.audit);
  demandAccess(exchange, guarded, deps);
  deps.limiter.admit(exchange, serviceAt(exchange.path));
  return serveKnown(exchange, permitted(deps, exchange.principal.rights));
}

function serveOpen(exchange: Exchange, deps: DoorDeps): Promise<void> | void {
  const { path, res } = exchange;
  if (path === '/healthz') return void res.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n');
  if (path === '/readyz') return sendReadiness(exchange, deps);
  if (path === '/console' || path.startsWith('/console/')) return handleConsole(exchange, deps.console, deps.sessions);
  if (path === '/docs') return sendDescription(exchange, deps.description.html());
  if (path.startsWith('/sutaz/v1/')) return handleControl(exchange, deps);
  return greet(exchange);
}

function serveKnown(exchange: Exchange, deps: DoorDeps): Promise<void> | void {
  const { path } = exchange;
  if (isAnthropic(path)) return handleAnthropic(exchange, deps);
  if (isOllama(path)) return handleOllama(exchange, deps);
  if (isRerank(path)) return handleRerank(exchange, deps);
  if (path.startsWith('/v1/')) return handleOpenai(exchange, deps);
  if (path.startsWith('/sutaz/v1/')) return handleControl(exchange, deps);
  if (path === '/metrics') return sendMetrics(exchange, deps);
  const address = addressOf(exchange.req.url ?? '/');
  if (address) return address.path ? handleService(exchange, address, deps) : addSlash(exchange, address);
  if (path === '/mcp') return deps.mcp.serve(exchange);
  throw new Fault('NOT_FOUND', `There is nothing at ${path}.`);
}

/** A browser goes to the console; Ollama's clients look here whether anybody is there, and some read what is said. */
function greet(exchange: Exchange): void {
  const { res, method } = exchange;
  if (method !== 'GET' && method !== 'HEAD') throw onlyTakes('/', ['GET', 'HEAD']);
  if (wantsPage(exchange.req)) return void res.writeHead(303, { location: '/console/' }).end();
  res.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', vary: 'accept' });
  res.end(method === 'HEAD' ? undefined : 'Ollama is running');
}

/** `/services/chroma/api/v2?x=1` -> the service, and the rest of the address as it was written. */
export function addressOf(url: string): Address | null {
  const match = /^\/services\/([^/?]+)(.*)$/s.exec(url);
  if (!match?.[1]) return null;
  return {
    service: decodeSegment(match[1]),
    path: match[2]?.startsWith('/') ? match[2] : '',
    prefix: `/services/${match[1]}`,
  };
}

const serviceAt = (path: string): string | null =>
  path.startsWith('/services/') ? (addressOf(path)?.service ?? null) : null;

/** Relative links of a service's page go wrong without the slash. */
function addSlash(exchange: Exchange, { prefix }: Address): void {
  const query = exchange.query.toString();
  exchange.res.writeHead(308, { location: `${prefix}/${query ? `?${query}` : ''}` }).end();
}

function sendReadiness(exchange: Exchange, { notReady }: DoorDeps): void {
  const why = notReady();
  sendJson(exchange, why === null ? 200 : 503, why === null ? { status: 'ready' } : { status: 'not ready', why });
}

function sendMetrics(exchange: Exchange, { renderMetrics }: DoorDeps): Promise<void> {
  return sendLarge(exchange, 200, renderMetrics(), 'text/plain; version=0.0.4; charset=utf-8');
}

async function upgrade(exchange: Exchange, client: { socket: Duplex; head: Buffer }, deps: DoorDeps): Promise<void> {
  const left = new AbortController();
  client.socket.on('error', () => left.abort(new Fault('CANCELLED', 'The client left.')));
  client.socket.on('close', () => left.abort(new Fault('CANCELLED', 'The client left.')));
  if (client.socket.destroyed) return;
  demandSound(exchange.req, deps.limits());
  if (deps.peers.needsTls(exchange.peer)) throw needsTls();
  const url = exchange.req.url ?? '/';
  const service = serviceOfHost(exchange.req, deps.identity);
  const routed = service === null ? upgradeRoute(exchange, deps) : null;
  if (service === null && !routed) demandOwnHost(exchange.req, deps.identity);
  const address = routed?.address ?? (service === null ? addressOf(url) : { service, path: url, prefix: '' });
  if (!address?.path.startsWith('/')) throw new Fault('NOT_FOUND', `Nothing at ${exchange.path} takes a WebSocket.`);
  exchange.principal = await authenticate(exchange, deps.identity, service !== null);
  demandService(exchange, address.service);
  deps.limiter.admit(exchange, address.service);
  routed?.change();
  const unit = deps.services.unit(address.service);
  const own = { ...exchange, signal: left.signal };
  const awake = await wakePlain(own, { unit }, deps, { choice: anyPlace });
  const line = deps.waker.line(unit, awake, callerOf(own));
  const pass = () => passUpgrade(own, client, address, { awake, line, clock: deps.clock });
  const over = (broken: boolean) => {
    awake.placed.settle(broken ? 'failed' : 'left');
    line?.close(broken);
  };
  await serving(awake, () => untilOver(pass, over));
}

function refuse(exchange: Exchange, error: unknown, deps: DoorDeps): void {
  const { res, req } = exchange;
  logFault(exchange, sendable(exchange, error), deps);
  if (req.complete || !res.writableEnded) return;
  // Closed at once, the refusal would be lost on the way to a client that is still sending.
  req.resume();
  deps.clock.after(lingerMs, () => {
    if (!req.complete) req.socket.destroy();
  });
}

function logFault({ traceId, path }: Exchange, fault: Fault, { log }: DoorDeps): void {
  if (fault.code === 'CANCELLED') return;
  const fields = { traceId, path, code: fault.code, error: fault.message };
  if (fault.code === 'INTERNAL')
    log.error('a request failed', { ...fields, stack: (fault.cause as Error | undefined)?.stack });
  else if (faults[fault.code].status >= 500) log.warn('a request was refused', fields);
}

/** People in a browser get a page, programs the shape of the API they asked. */
function sendable(exchange: Exchange, error: unknown): Fault {
  const page = error instanceof Fault && wantsPage(exchange.req) && !exchange.res.headersSent && !isApi(exchange.path);
  if (!page) return sendFault(exchange, error);
  sendPage(exchange, faults[error.code].status, faults[error.code].title, error.message, faultHeaders(error));
  return error;
}

const isApi = (path: string): boolean => path.startsWith('/v1/') || isOllama(path) || isRerank(path);

const families = ['/v1/', '/api/', '/services/', '/sutaz/', '/console/'];

function measure({ path, res, since }: Exchange, { requests, seconds, clock }: DoorDeps): void {
  const family = families.find((prefix) => path.startsWith(prefix)) ?? 'other';
  const outcome = res.writableFinished ? String(res.statusCode) : 'left';
  requests.add([family, outcome]);
  seconds.observe([family], (clock.now() - since) / 1000);
}
