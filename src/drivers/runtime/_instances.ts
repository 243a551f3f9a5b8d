import type { ChildProcess } from 'node:child_process';
import type { DriverHost } from '#contracts/driver';
import type { ExitedStatus, InstanceHandle } from '#contracts/runtime';
import type { Cancel } from '#kernel/clock';
import { cgroupOf } from './_cgroups.ts';
import { createExits, unseenEnd, type ExitListener } from './_exits.ts';
import { hasMarkerOfAnother } from './_handle.ts';
import { memoryKill } from './_limits.ts';
import { isSame, membersOf, type Root, type Seen } from './_members.ts';
import { createOomWatch } from './_oom.ts';
import { hasEnded, type ProcessEntry, type Procfs } from './_procfs.ts';
import { stopInstance, type StopJob } from './_stop.ts';

/** A process that another one started can't be waited for in Node (no pidfd): it is looked at this often. */
const pollMs = 250;
/** What an instance leaves behind when it ends by itself has this long to end too. */
const leftoverGraceMs = 2_000;

export interface Tracked {
  readonly handle: InstanceHandle;
  readonly root: Root;
  readonly seen: Seen;
  /** Null for one that an earlier process of the platform started. */
  readonly child: ChildProcess | null;
  /** We sent SIGKILL: its end says nothing about memory. */
  killed: boolean;
  /** The root has ended and its end is being followed up. */
  ending: boolean;
  readonly announced: PromiseWithResolvers<void>;
}

/** The instances of one driver: which live, how each is ended, who is told. */
export interface Instances {
  track(handle: InstanceHandle, root: Root, child: ChildProcess | null): Tracked;
  get(id: string): Tracked | undefined;
  all(): readonly Tracked[];
  /** True while its first process lives. */
  isAlive(root: Root): boolean;
  members(root: Root, seen: Seen, maxAgeMs: number): ProcessEntry[];
  isStopping(id: string): boolean;
  /** Ends it and all it started, its end announced when it resolves. Two calls are one; the shorter grace counts. */
  stop(root: Root, graceMs: number): Promise<void>;
  /** Ends what an instance left whose root is gone. */
  sweep(root: Root): Promise<void>;
  endOf(id: string): ExitedStatus | undefined;
  onExit(listener: ExitListener): () => void;
  close(): void;
}

export function createInstances(procfs: Procfs, { clock, log }: Pick<DriverHost, 'clock' | 'log'>): Instances {
  const tracked = new Map<string, Tracked>();
  const jobs = new Map<string, StopJob>();
  const exits = createExits((id, error) => log.error('a listener failed at the end of an instance', { id, error }));
  const oom = createOomWatch(clock, () => procfs.oomKills());
  let cancelPoll: Cancel | undefined;
  let closed = false;

  const members = (root: Root, seen: Seen, maxAgeMs: number) => {
    oom.sample();
    return membersOf(root, procfs.table(maxAgeMs), procfs, seen, cgroupOf(root)?.pids());
  };
  const isAlive = (root: Root) => {
    const entry = procfs.entry(root.pid);
    return isSame(entry, root.startTicks) && !hasEnded(entry) && !hasMarkerOfAnother(procfs, entry, root.id);
  };
  const end = (root: Root, graceMs: number): Promise<void> => {
    const running = jobs.get(root.id);
    running?.hasten(graceMs);
    if (running) return running.done;
    const item = tracked.get(root.id);
    const onKill = () => item && (item.killed = true);
    const job = stopInstance(root, item?.seen ?? new Map(), graceMs, { procfs, clock, log, onKill });
    jobs.set(root.id, job);
    return job.done.finally(() => jobs.delete(root.id));
  };
  const announce = (item: Tracked, status: ExitedStatus) => {
    if (!tracked.delete(item.root.id)) return;
    item.announced.resolve();
    exits.publish(item.handle, status);
  };
  /** Its end is announced when what it left behind has ended too. A stop that is under way keeps its own grace. */
  const settle = async (item: Tracked, code: number | null, signal: string | null) => {
    if (item.ending) return;
    item.ending = true;
    const memory = item.killed ? null : memoryEnd(item.root, code, signal, () => oom.roseLately());
    try {
      await (jobs.get(item.root.id)?.done ?? end(item.root, leftoverGraceMs));
    } catch (error) {
      log.error('what an instance left behind could not be ended', { id: item.root.id, error });
    }
    announce(item, { state: 'exited', code, signal, oomKilled: memory !== null, ...memory });
  };
  const poll = () => {
    cancelPoll = undefined;
    const recovered = [...tracked.values()].filter(({ child }) => child === null);
    for (const item of recovered) if (!isAlive(item.root)) void settle(item, null, null);
    if (recovered.length > 0) watchRecovered();
  };
  const watchRecovered = () => {
    if (!closed) cancelPoll ??= clock.after(pollMs, poll);
  };

  return {
    track(handle, root, child) {
      const announced = Promise.withResolvers<void>();
      const item = { handle, root, child, seen: new Map(), killed: false, ending: false, announced };
      tracked.set(root.id, item);
      if (child) child.once('exit', (code, signal) => void settle(item, code, signal));
      else watchRecovered();
      return item;
    },
    get: (id) => tracked.get(id),
    all: () => [...tracked.values()],
    isAlive,
    members,
    isStopping: (id) => jobs.has(id),
    async stop(root, graceMs) {
      const item = tracked.get(root.id);
      await end(root, graceMs);
      if (item?.child === null) announce(item, unseenEnd);
      // The end of a child of ours comes as an event of its own, a moment after the process is gone.
      await item?.announced.promise;
    },
    sweep: (root) => end(root, leftoverGraceMs),
    endOf: exits.of,
    onExit: exits.listen,
    close() {
      closed = true;
      cancelPoll?.();
      exits.close();
    },
  };
}

/**
 * Null unless memory was why it ended. Its group counts its own kills, one of a child that a shell passed on as 137
 * among them, and also those of an end that nobody saw; without a group there is the machine's count.
 */
function memoryEnd(
  root: Root,
  code: number | null,
  signal: string | null,
  roseLately: () => boolean,
): Pick<ExitedStatus, 'limitBytes'> | null {
  const kill = memoryKill(root);
  const looksKilled = signal === 'SIGKILL' || code === 137 || (code === null && signal === null);
  if (kill && looksKilled) return kill;
  return signal === 'SIGKILL' && roseLately() ? {} : null;
}
