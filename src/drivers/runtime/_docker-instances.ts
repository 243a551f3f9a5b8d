import type Dockerode from 'dockerode';
import { sleep } from '#kernel/abort';
import type { DriverHost } from '#contracts/driver';
import type { ExitedStatus, InstanceHandle } from '#contracts/runtime';
import { readState } from './_docker-container.ts';
import { isGone, statusOf, type Engine } from './_docker-engine.ts';
import { watchEnds } from './_docker-events.ts';
import type { Gateways } from './_docker-gateways.ts';
import { followLog, type LogFollow } from './_docker-log.ts';
import type { Networks } from './_docker-networks.ts';
import { createExits, unseenEnd, type Exits } from './_exits.ts';

/** Milliseconds that the last lines of an ended container may take to arrive. */
const lastLinesMs = 3_000;
/** Milliseconds before an engine that does not answer is asked again. */
const againMs = 1_000;

export interface Container {
  readonly handle: InstanceHandle;
  readonly container: Dockerode.Container;
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
  ending: boolean;
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
  /** Its last lines are fetched and it is removed before its end is told, so that an end is an end. */
  const settle = async (item: Tracked) => {
    await item.begun.promise;
    if (item.ending || tracked.get(item.handle.id) !== item) return;
    item.ending = true;
    try {
      const status = await endOf(item);
      if (status === null) return void (item.ending = false);
      await Promise.race([item.log?.done, sleep(clock, lastLinesMs)]);
      item.log?.close();
      await remove(item);
      tracked.delete(item.handle.id);
      item.ended.resolve();
      exits.publish(item.handle, status);
    } catch (error) {
      item.ending = false;
      log.warn('the end of a container could not be looked into', { id: item.handle.id, error: String(error) });
      await sleep(clock, againMs, closing.signal).then(
        () => settle(item),
        () => undefined,
      );
    }
  };
  watchEnds(engine, owner, { clock, log, signal: closing.signal }, (id) => {
    // Without an id some ends may have gone unheard.
    for (const item of id === null ? [...tracked.values()] : [tracked.get(id)]) if (item) void settle(item);
  });

  return {
    exits,
    remove,
    track(one) {
      const begun = Promise.withResolvers<void>();
      const ended = Promise.withResolvers<void>();
      const item: Tracked = { ...one, begun, ended, log: null, killed: false, ending: false, stop: null };
      tracked.set(one.handle.id, item);
      return item;
    },
    drop(item) {
      tracked.delete(item.handle.id);
      item.begun.resolve();
      item.log?.close();
    },
    begin(item, since) {
      item.log = followLog(item.container, readState(item.handle).logFile, since, { clock, log });
      item.begun.resolve();
    },
    get: (id) => tracked.get(id),
    all: () => [...tracked.values()],
    stop(item, graceMs) {
      if (item.stop) item.stop.hasten(graceMs);
      else item.stop = beginStop(item, graceMs, host, () => settle(item));
      return item.stop.done;
    },
    close() {
      closing.abort();
      for (const item of tracked.values()) item.log?.close();
      gateways.closeAll();
      exits.close();
    },
  };
}

/** How it ended; null while it runs. */
async function endOf({ container, killed, limitBytes }: Tracked): Promise<ExitedStatus | null> {
  try {
    const { State } = await container.inspect();
    return State.Running ? null : exitStatus(State, killed, limitBytes);
  } catch (error) {
    // Someone removed it.
    if (isGone(error)) return unseenEnd;
    throw error;
  }
}

/** What a shell, and the engine after it, adds to the number of the signal that ended a process. */
const bySignal = 128;
const signals: Readonly<Record<number, string>> = {
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
};

/**
 * The engine gives one number for a code and for a signal. Of those above 128 the ones are taken for signals that
 * no program chooses: a service that ends by `exit 143`, as Java does when asked to end, has ended by itself.
 */
export function exitStatus(
  { ExitCode, OOMKilled }: { readonly ExitCode: number; readonly OOMKilled: boolean },
  killed: boolean,
  limitBytes: number,
): ExitedStatus {
  const signal = signals[ExitCode - bySignal] ?? null;
  // The mark stays when a child was killed and the service went on: it says nothing of an end in peace.
  const oomKilled = OOMKilled && !killed && ExitCode !== 0;
  return {
    ...{ state: 'exited', code: signal === null ? ExitCode : null, signal, oomKilled },
    ...(oomKilled && limitBytes > 0 && { limitBytes }),
  };
}

function beginStop(item: Tracked, graceMs: number, { clock }: DriverHost, settle: () => Promise<void>): StopJob {
  const over = Promise.withResolvers<void>();
  let cancel = clock.after(graceMs, over.resolve);
  let at = clock.now() + graceMs;
  // The clock's timers keep no process alive, but the platform must not end in the middle of a stop.
  const hold = setInterval(() => undefined, 60_000);
  const run = async () => {
    await signal(item.container, item.stopSignal);
    await Promise.race([item.ended.promise, over.promise]);
    const left = await item.container.inspect().catch(absent);
    if (left?.State.Running) {
      item.killed = true;
      await signal(item.container, 'SIGKILL');
      await item.container.wait({ condition: 'not-running' }).catch(absent);
    }
    await settle();
    await item.ended.promise;
  };
  return {
    done: run().finally(() => {
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
