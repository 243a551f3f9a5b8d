import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { workersOf } from '#config/static';
import type { Config } from '#config/static';
import { trackConnections } from '#edge/connections';
import type { Connections } from '#edge/connections';
import { loadConsole } from '#edge/console';
import type { Control } from '#edge/control';
import { trackChanges } from '#edge/changes';
import { createDescription } from '#edge/description';
import { createDoor } from '#edge/door';
import type { DoorDeps } from '#edge/door';
import type { Live } from '#edge/live';
import { createMcp } from '#edge/mcp/handler';
import type { McpServing } from '#edge/mcp/handler';
import { createMoving } from '#edge/moving';
import type { Moving } from '#edge/moving';
import { trustsOf } from '#edge/protocols/peer';
import { speakProtocols } from '#edge/protocols/speak';
import type { Protocols } from '#edge/protocols/speak';
import { createWorkers } from '#edge/workers/workers';
import type { Workers } from '#edge/workers/workers';
import { createUpstreams } from '#edge/transport/upstreams';
import { controlBase, operation } from '#contracts/operations';
import { sleep } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import type { Closers } from '#kernel/closers';
import { createMetrics } from '#observe/metrics';
import type { AppOptions } from '../app.ts';
import type { Core } from './core.ts';
import { openAnswers } from './answers.ts';
import { knownTo, openLimits } from './limits.ts';
import { mcpServicesOf } from './mcp-services.ts';
import { registerMetrics, registerSavings, registerUpstreams, registerWorkers } from './metrics.ts';
import { registerHttpCaches } from './http-caches.ts';
import { createModelDirectory } from './models.ts';
import type { Reporter } from './reporter.ts';
import { openRoutes } from './routes.ts';
import type { Stores } from './stores.ts';
import { version } from './version.ts';

export interface FrontParts {
  readonly stores: Stores;
  readonly core: Core;
  readonly operator: Control;
  readonly live: Live;
  readonly reporter: Reporter;
  readonly url: () => string;
  /** Null while the platform is ready, else why not. */
  readonly notReady: () => string | null;
}

export interface Front {
  readonly server: Server;
  readonly moving: Moving;
  /** Calls that are changing something now. */
  readonly changes: () => readonly string[];
  readonly connections: Connections;
  /** Those of clients are closed when these have none, either. */
  readonly workers: Workers | null;
  readonly mcp: McpServing;
  readonly protocols: Protocols;
}

/** The door and all it leads to. It does not listen yet. */
export async function createFront(
  { home, config, clock, log, console: folder, openapi }: AppOptions,
  parts: FrontParts,
  closers: Closers,
): Promise<Front> {
  const { stores, core, operator, live, url, notReady } = parts;
  const { identity } = stores;
  const metrics = createMetrics();
  const measured = registerMetrics(metrics, core.views, parts.reporter);
  registerSavings(metrics, core.savings);
  const limiter = openLimits({ config, clock, log, state: stores.state, metrics, ...knownTo(stores, config) }, closers);
  registerUpstreams(metrics, core.pickers);
  const upstreams = createUpstreams({ clock });
  closers.add(() => upstreams.close());
  let workers: Workers | null = null;
  registerWorkers(metrics, () => workers?.list() ?? []);
  const peers = peersOf(config.current().listen);
  const moving = createMoving(peers);
  const asking = {
    ...{ waker: core.waker, upstreams, clock, log, identity, control: operator },
    ...{ limiter, answers: openAnswers({ config, clock, stores, metrics }, closers) },
    holdMs: () => config.current().scheduler.hold,
    relays: countOf(config.current()) > 1 ? { free: () => workers?.free() ?? null } : null,
    limits: () => config.current().limits,
    models: createModelDirectory({
      ...{ directory: core.directory, scheduler: core.scheduler, units: core.units, store: stores.models },
      ...{ config: () => config.current(), control: operator, clock },
    }),
  };
  const { known } = knownTo(stores, config);
  const routes = await openRoutes({ config, home: home.path, clock, log, known, catalog: stores.catalog }, closers);
  registerHttpCaches(metrics, routes);
  const mcp = createMcp({ ...asking, version, mcpServices: mcpServicesOf(stores.catalog) });
  closers.add(() => mcp.close());
  const door: Server = createDoor({
    ...{
      ...asking,
      live,
      sessions: identity.sessions,
      audit: identity.audit,
      mcp,
      readLimits: limiter.view,
      ...measured,
      routes,
    },
    services: {
      unit: core.directory.serviceUnit,
      fallbacks: (service) => config.current().services[service]?.fallback ?? [],
      describe: (unit) => ({ title: core.units.titles(unit).title, why: operator.unit(unit).why }),
    },
    peers,
    port: () => portOf(door),
    url,
    console: await loadConsole(folder),
    description: createDescription(() => readFile(openapi)),
    renderMetrics: () => metrics.render(),
    moving,
    notReady,
  });
  const { limits } = config.current();
  const onHandedOver = (socket: Socket) => connections.forget(socket);
  workers = await openWorkers(door, { config, clock, log });
  const protocols = speakProtocols(door, { clock, limits, onHandedOver, workers });
  // After that, so that it knows of a connection before its first byte says what it speaks.
  const connections = trackConnections(door);
  closers.add(async () => {
    protocols.close();
    await closeNow(door, connections).finally(() => workers?.close());
  });
  const changes = trackChanges(door, `${controlBase}${operation('restart').path}`);
  return { server: door, connections, workers, protocols, mcp, moving, changes };
}

const countOf = ({ listen: { workers } }: Config): number => workersOf(workers, availableParallelism());

/** Null where this process does everything itself. */
async function openWorkers(
  door: Server,
  { config, clock, log }: Pick<AppOptions, 'config' | 'clock' | 'log'>,
): Promise<Workers | null> {
  const { limits } = config.current();
  const count = countOf(config.current());
  if (count === 1) return null;
  log.info('long answers are passed on in processes of their own, and TLS is spoken there', { workers: count });
  return createWorkers({
    ...{ count, clock, log, handshakeMs: limits.headerTimeout },
    take: (socket) => void door.emit('connection', socket),
    // Node counts those that were sent away no more.
    onOpen: (open) => void (door.maxConnections = Math.max(0, limits.connections - open)),
  });
}

const peersOf = ({ tls, plain, trust }: Config['listen']): DoorDeps['peers'] => ({
  trusts: trustsOf(trust),
  needsTls: (peer) => tls !== undefined && plain === 'local' && !peer.secure && !peer.trusted && !peer.local,
});

export const portOf = (door: Server): number => {
  const address = door.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
};

export function listen(door: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    door.once('error', reject);
    door.listen({ port, host }, () => {
      door.off('error', reject);
      resolve();
    });
  });
}

/** Takes the place of another process: the connections to its listener come here from now on. */
export const listenOn = (door: Server, listener: NetServer): void => void door.listen(listener);

/**
 * Takes no new connections and closes none of those there are. Resolves when the last has closed, or when the signal
 * aborts. Not by the HTTP server's own `close`: that ends kept connections at once, perhaps just as a request arrives.
 */
export function emptied({ server, workers, protocols, mcp }: Front, signal: AbortSignal): Promise<void> {
  mcp.endSubscriptions();
  // Those of HTTP/2 are told to open another one, which is the way it has for that.
  protocols.drain();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    NetServer.prototype.close.call(server, () => whenEmpty(workers, resolve));
  });
}

function whenEmpty(workers: Workers | null, then: () => void): void {
  if (workers) workers.whenEmpty(then);
  else then();
}

/** Milliseconds between looks for connections that are not needed any more while the door drains. */
const lookMs = 50;
/** Milliseconds that WebSockets may take to say good-bye. */
const upgradedMs = 2_000;

/**
 * No new connection; what is under way may finish until the time, in milliseconds, is up. A connection whose request has
 * ended stays open for its next one: those are closed as they become free.
 */
export async function drain(
  { server, connections, workers, protocols, mcp }: Front,
  clock: Clock,
  ms: number,
): Promise<void> {
  let open = true;
  server.close(() => whenEmpty(workers, () => (open = false)));
  protocols.drain();
  mcp.endSubscriptions();
  const began = clock.now();
  while (open && clock.now() < began + ms) {
    connections.closeUnused();
    if (clock.now() > began + upgradedMs) connections.closeUpgraded();
    await sleep(clock, lookMs);
  }
}

function closeNow(door: Server, connections: Connections): Promise<void> {
  connections.closeUpgraded();
  door.closeAllConnections();
  return new Promise((resolve) => (door.listening ? door.close(() => resolve()) : resolve()));
}
