import type Dockerode from 'dockerode';
import type { DriverHost } from '#contracts/driver';
import type { InstanceHandle } from '#contracts/runtime';
import { createBurials } from './_docker-burials.ts';
import { labels, readState } from './_docker-container.ts';
import { isGone, statusOf, type Engine } from './_docker-engine.ts';
import { watchEnds } from './_docker-events.ts';
import type { Gateways } from './_docker-gateways.ts';
import { followLog, type LogFollow } from './_docker-log.ts';
import type { Networks } from './_docker-networks.ts';
import { createExits, type Exits } from './_exits.ts';

export interface Container {
  readonly handle: InstanceHandle;
  readonly container: Dockerode.Container;
  /** The same for what is done at once. */
  readonly quick: Dockerode.Container;
  readonly network: string;
  /** Asks its first process to end. */
  readonly stopSignal: string;
  /** The most memory it may have, in bytes; 0 for no limit. */
  readonly limitBytes: number;
}

export interface Tracked extends Container {
  log: LogFollow | null;
  /** Its start is through, whichever way. An end is looked into after that. */
  readonly begun: PromiseWithResolvers<void>;
  readonly ended: PromiseWithResolvers<void>;
  /** We sent SIGKILL: its end says nothing about memory. */
  killed: boolean;
  /** It was to end, and its engine did not answer: it does so as soon as that is back. */
  doomed: boolean;
  burial: Promise<void> | null;
  stop: StopJob | null;
}

interface StopJob {
  readonly done: Promise<void>;
  hasten(graceMs: number): void;
}

/** The containers of one driver: which live, how each is ended, who is told. */
export interface Containers {
  readonly exits: Exits;
  track(one: Container): Tracked;
  /** It never was: nobody is told of an end. */
  drop(item: Tracked): void;
  /** It runs: its output goes into its log file from the given time on. */
  begin(item: Tracked, since: bigint): void;
  get(id: string): Tracked | undefined;
  all(): readonly Tracked[];
  /** Ends it, its end announced and nothing of it left when it resolves. Two calls are one; the shorter grace counts. */
  stop(item: Tracked, graceMs: number): Promise<void>;
  /** Removes a container with what it wrote beside its mounts, and its network where it was the last one in it. */
  remove(one: Container): Promise<void>;
  /** An instance that came to nothing, whose container could not be removed, or may be there unheard of: once the engine answers. */
  removeLater(id: string): void;
  close(): void;
}

export interface Ways {
  readonly networks: Networks;
  readonly gateways: Gateways;
}

export function createContainers(
  engine: Engine,
  owner: string,
  { networks, gateways }: Ways,
  host: DriverHost,
): Containers {
  const { clock, log } = host;
  const tracked = new Map<string, Tracked>();
  const closing = new AbortController();
  const exits = createExits((id, error) => log.error('a listener failed at the end of an instance', { id, error }));

  const remove = async ({ handle, container, network }: Container) => {
    // In progress already, or gone: so it shall be.
    await container.remove({ force: true, v: true }).catch((error: unknown) => {
      if (![404, 409].includes(statusOf(error) ?? 0)) throw error;
    });
    gateways.close(handle.id);
    await networks
      .release(network)
      .catch((error: unknown) => log.warn('a network could not be removed', { network, error: String(error) }));
  };
  const { bury, settle } = createBurials({ tracked, exits, remove, clock, log, signal: closing.signal });
  const stop = (item: Tracked, graceMs: number): Promise<void> => {
    if (item.stop) item.stop.hasten(graceMs);
    else item.stop = beginStop(item, graceMs, host, () => bury(item));
    return item.stop.done;
  };
  const unwanted = new Set<string>();
  watchEnds(
    engine,
    owner,
    { clock, log, signal: closing.signal },
    {
      ended(id) {
        const item = tracked.get(id);
        if (item) void settle(item);
      },
      listening(wasAway) {
        const circumstance = wasAway ? 'while the Docker engine was away' : undefined;
        for (const item of [...tracked.values()]) void settle(item, circumstance);
        if (!wasAway) return;
        clear({ docker: engine.docker, owner, tracked, unwanted, networks, stop }).catch((error: unknown) =>
          log.warn('what is left from before the Docker engine was away could not be removed', {
            error: String(error),
          }),
        );
      },
    },
  );

  return {
    exits,
    remove,
    track(one) {
      const begun = Promise.withResolvers<void>();
      const ended = Promise.withResolvers<void>();
      const item: Tracked = { ...one, begun, ended, log: null, killed: false, doomed: false, burial: null, stop: null };
      tracked.set(one.handle.id, item);
      return item;
    },
    drop(item) {
      tracked.delete(item.handle.id);
      item.begun.resolve();
      item.log?.close();
    },
    begin(item, since) {
      item.log = followLog(item.container, writtenTo(item.handle), since, { clock, log });
      item.begun.resolve();
    },
    get: (id) => tracked.get(id),
    all: () => [...tracked.values()],
    stop,
    removeLater: (id) => void unwanted.add(id),
    close() {
      closing.abort();
      for (const item of tracked.values()) item.log?.close();
      gateways.closeAll();
      exits.close();
    },
  };
}

const writtenTo = (handle: InstanceHandle) => ({ logFile: readState(handle).logFile, instance: handle.id });

interface ClearDeps {
  readonly docker: Dockerode;
  readonly owner: string;
  readonly tracked: ReadonlyMap<string, Tracked>;
  readonly unwanted: Set<string>;
  readonly networks: Networks;
  stop(item: Tracked, graceMs: number): Promise<void>;
}

/** What could not be ended or removed while the engine was away. */
async function clear({ docker, owner, tracked, unwanted, networks, stop }: ClearDeps): Promise<void> {
  for (const item of tracked.values()) if (item.doomed) await stop(item, 0);
  for (const id of unwanted) {
    const label = [`${labels.owner}=${owner}`, `${labels.instance}=${id}`];
    for (const { Id } of await docker.listContainers({ all: true, filters: { label } })) {
      await docker.getContainer(Id).remove({ force: true, v: true });
    }
    unwanted.delete(id);
  }
  await networks.tidy();
}

function beginStop(item: Tracked, graceMs: number, { clock }: DriverHost, bury: () => Promise<void>): StopJob {
  const over = Promise.withResolvers<void>();
  let cancel = clock.after(graceMs, over.resolve);
  let at = clock.now() + graceMs;
  // The clock's timers keep no process alive, but the platform must not end in the middle of a stop.
  const hold = setInterval(() => undefined, 60_000);
  const run = async () => {
    await signal(item.quick, item.stopSignal);
    await Promise.race([item.ended.promise, over.promise]);
    const left = await item.quick.inspect().catch(absent);
    if (left?.State.Running) {
      item.killed = true;
      await signal(item.quick, 'SIGKILL');
      await item.container.wait({ condition: 'not-running' }).catch(absent);
    }
    await bury();
    await item.ended.promise;
  };
  const failed = (error: unknown) => {
    item.doomed = true;
    throw error;
  };
  return {
    done: run()
      .catch(failed)
      .finally(() => {
        cancel();
        clearInterval(hold);
        item.stop = null;
      }),
    hasten(ms) {
      if (clock.now() + ms >= at) return;
      cancel();
      at = clock.now() + ms;
      cancel = clock.after(ms, over.resolve);
    },
  };
}

/** A frozen one gets its signal as it wakes up, and wakes up to nothing else. */
async function signal(container: Dockerode.Container, name: string): Promise<void> {
  const ignored = (error: unknown) => {
    // It has ended, or is not frozen.
    if (![304, 404, 409, 500].includes(statusOf(error) ?? 0)) throw error;
  };
  await container.kill({ signal: name }).catch(ignored);
  await container.unpause().catch(ignored);
}

const absent = (error: unknown): null => {
  if (isGone(error)) return null;
  throw error;
};
