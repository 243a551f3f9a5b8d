import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { trackConnections } from '#edge/connections';
import type { Connections } from '#edge/connections';
import { loadConsole } from '#edge/console';
import type { Control } from '#edge/control';
import { createDescription } from '#edge/description';
import { createDoor } from '#edge/door';
import type { Live } from '#edge/live';
import { createMcp } from '#edge/mcp/handler';
import type { McpServing } from '#edge/mcp/handler';
import { speakProtocols } from '#edge/protocols/speak';
import type { Protocols } from '#edge/protocols/speak';
import { createUpstreams } from '#edge/transport/upstreams';
import { sleep } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import type { Closers } from '#kernel/closers';
import { createMetrics } from '#observe/metrics';
import type { AppOptions } from '../app.ts';
import type { Core } from './core.ts';
import { registerMetrics, registerSavings } from './metrics.ts';
import { mcpServicesOf } from './mcp-services.ts';
import { createModelDirectory } from './models.ts';
import type { Reporter } from './reporter.ts';
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
  readonly connections: Connections;
  readonly mcp: McpServing;
  readonly protocols: Protocols;
}

/** The door and all it leads to. It does not listen yet. */
export async function createFront(
  { config, clock, log, console: folder, openapi }: AppOptions,
  parts: FrontParts,
  closers: Closers,
): Promise<Front> {
  const { stores, core, operator, live, url, notReady } = parts;
  const { identity } = stores;
  const metrics = createMetrics();
  const measured = registerMetrics(metrics, core.views, parts.reporter);
  registerSavings(metrics, core.savings);
  const upstreams = createUpstreams({ clock });
  closers.add(() => upstreams.close());
  const asking = {
    ...{ waker: core.waker, upstreams, clock, log, identity, control: operator },
    holdMs: () => config.current().scheduler.hold,
    limits: () => config.current().limits,
    models: createModelDirectory({
      ...{ directory: core.directory, scheduler: core.scheduler, store: stores.models },
      ...{ config: () => config.current(), control: operator, clock },
    }),
  };
  const mcp = createMcp({ ...asking, version, mcpServices: mcpServicesOf(stores.catalog) });
  closers.add(() => mcp.close());
  const door: Server = createDoor({
    ...{ ...asking, live, sessions: identity.sessions, mcp, ...measured },
    services: {
      unit: core.directory.serviceUnit,
      describe: (unit) => ({ title: core.units.titles(unit).title, why: operator.unit(unit).why }),
    },
    port: () => portOf(door),
    url,
    console: await loadConsole(folder),
    description: createDescription(() => readFile(openapi)),
    renderMetrics: () => metrics.render(),
    notReady,
  });
  const connections = trackConnections(door);
  const { limits } = config.current();
  const protocols = speakProtocols(door, { clock, limits, onHandedOver: connections.forget });
  closers.add(() => {
    protocols.close();
    return closeNow(door, connections);
  });
  return { server: door, connections, protocols, mcp };
}

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

/** Milliseconds between looks for connections that are not needed any more while the door drains. */
const lookMs = 50;
/** Milliseconds that WebSockets may take to say good-bye. */
const upgradedMs = 2_000;

/**
 * No new connection; what is under way may finish until the time, in milliseconds, is up. A connection whose request has
 * ended stays open for its next one: those are closed as they become free.
 */
export async function drain({ server, connections, protocols, mcp }: Front, clock: Clock, ms: number): Promise<void> {
  let open = true;
  server.close(() => (open = false));
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
