import { abortFault, sleep, throwIfAborted } from '#kernel/abort';
import { Fault, systemCode } from '#kernel/faults';
import { defineDriver, type DriverHost } from '#contracts/driver';
import type { InstanceHandle, RuntimeDriver } from '#contracts/runtime';
import { makeHandle, readRoot } from './_handle.ts';
import { createInstances, unseenEnd, type Instances } from './_instances.ts';
import type { Root, Seen } from './_members.ts';
import { raiseOomScore } from './_oom.ts';
import { openProcfs, type Procfs } from './_procfs.ts';
import { signalProcess } from './_signals.ts';
import { spawnDetached } from './_spawn.ts';

/** What the kernel counts on top of an instance's memory, in thousandths, when its spec does not say. */
const defaultOomScoreAdj = 500;
/** How old a look at the process table may be for `inspect`: instances asked about together share one. */
const tableAgeMs = 200;

/**
 * Instances as plain processes of this machine. They outlive the platform: nothing ties them to it but their pid, and
 * the next platform takes them over by it. Needs Linux's procfs.
 */
export default defineDriver<RuntimeDriver, object>({
  id: 'runtime.process',
  async open(_options, host) {
    throwIfAborted(host.signal);
    const procfs = openLinux(host);
    return createDriver(procfs, createInstances(procfs, host), host);
  },
});

function openLinux({ clock }: DriverHost): Procfs {
  try {
    return openProcfs(clock);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    throw new Fault(
      'NOT_SUPPORTED',
      `runtime.process needs Linux's /proc, which this system (${process.platform}) lacks: use runtime.docker, or run the service yourself and give its address under "external".`,
      { cause: error },
    );
  }
}

function createDriver(procfs: Procfs, instances: Instances, { clock }: DriverHost): RuntimeDriver {
  let closed = false;
  const stop = async (handle: InstanceHandle, graceMs: number) => {
    const root = readRoot(handle, procfs.bootId);
    if (root) await instances.stop(root, graceMs);
  };
  const living = (handle: InstanceHandle): { readonly root: Root; readonly seen: Seen } => {
    const root = readRoot(handle, procfs.bootId);
    if (instances.isStopping(handle.id)) throw new Fault('CONFLICT', `${handle.unit} is being stopped.`);
    if (!root || !instances.isAlive(root)) throw new Fault('CONFLICT', `${handle.unit} has ended: start it again.`);
    return instances.get(handle.id) ?? { root, seen: new Map() };
  };

  const raiseOomScores = (root: Root, seen: Seen, score: number) => {
    raiseOomScore(root.pid, score);
    // A quick one has started others before it was written.
    for (const { pid } of instances.members(root, seen, 0)) raiseOomScore(pid, score);
  };

  return {
    traits: { survivesRestart: true, enforcesMemory: false },
    stop,

    async start(spec, signal) {
      throwIfAborted(signal);
      if (closed) throw new Fault('SHUTTING_DOWN', `${spec.unit} was not started: the platform is stopping.`);
      if (instances.get(spec.id)) throw new Fault('CONFLICT', `${spec.unit}: the instance ${spec.id} exists already.`);
      const child = await spawnDetached(spec);
      // Its exit can't have been told yet, and until then even an ended process keeps its line in the table.
      const handle = makeHandle(spec, child, procfs);
      const { root, seen } = instances.track(handle, readRoot(handle, procfs.bootId) as Root, child);
      raiseOomScores(root, seen, spec.oomScoreAdj ?? defaultOomScoreAdj);
      if (!signal.aborted) return handle;
      await stop(handle, 0);
      throw abortFault(signal);
    },

    async recover(handle) {
      const known = instances.get(handle.id);
      if (known) return known.handle;
      const root = readRoot(handle, procfs.bootId);
      if (!root) return null;
      if (instances.isAlive(root)) return instances.track(handle, root, null).handle;
      await instances.sweep(root);
      return null;
    },

    async inspect(handle) {
      const root = readRoot(handle, procfs.bootId);
      const item = instances.get(handle.id);
      if (!root || (!item && !instances.isAlive(root))) return instances.endOf(handle.id) ?? unseenEnd;
      const processes = instances.members(root, item?.seen ?? new Map(), tableAgeMs);
      const sizes = await Promise.all(processes.map(({ pid }) => procfs.memory(pid)));
      const memoryBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
      const isFrozen = processes.some(({ pid, state }) => pid === root.pid && state === 'T');
      return { state: isFrozen ? 'frozen' : 'running', pid: root.pid, memoryBytes };
    },

    list: async () => instances.all().map(({ handle }) => handle),
    onExit: (listener) => instances.onExit(listener),

    async freeze(handle) {
      const { root, seen } = living(handle);
      const asked = new Set<number>();
      const fresh = () => instances.members(root, seen, 0).filter(({ pid }) => !asked.has(pid));
      // The root first, so that no parent sees its child stop; again, for what was forked while the signals were on their way.
      for (let round = fresh(); round.length > 0 && !instances.isStopping(root.id); round = fresh()) {
        for (const entry of round) {
          asked.add(entry.pid);
          signalProcess(procfs, entry, 'SIGSTOP');
        }
        await sleep(clock, 5);
      }
    },

    async thaw(handle) {
      const { root, seen } = living(handle);
      for (const entry of instances.members(root, seen, 0).reverse()) signalProcess(procfs, entry, 'SIGCONT');
    },

    async close() {
      closed = true;
      instances.close();
    },
  };
}
