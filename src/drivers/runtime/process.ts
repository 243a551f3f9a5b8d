import { abortFault, throwIfAborted } from '#kernel/abort';
import type { ControllerV1 } from '#kernel/cgroups';
import { Fault, systemCode } from '#kernel/faults';
import { defineDriver, type DriverHost } from '#contracts/driver';
import type { InstanceHandle, RuntimeDriver } from '#contracts/runtime';
import { beginInstance } from './_begin.ts';
import { cgroupOf, controllersIn, findCgroups, sweepCgroups } from './_cgroups.ts';
import { unseenEnd } from './_exits.ts';
import { createFreezing } from './_freeze.ts';
import { findHandle, readRoot } from './_handle.ts';
import { createInstances, type Instances } from './_instances.ts';
import { findLandlock, landlockNeeds, type Landlock } from './_landlock.ts';
import { findLimitParents, noParents, sweepLimits, type LimitParents } from './_limits.ts';
import type { Root, Seen } from './_members.ts';
import { openProcfs, type Procfs } from './_procfs.ts';

export interface ProcessOptions {
  /**
   * The folder of the control group (version 2) in which each instance gets one of its own; null for none. Without it
   * the platform's own group is taken, where it may be written. With null no other group bounds an instance, either.
   */
  readonly cgroups?: string | null;
}

export interface Enforced {
  readonly memory: 'cgroup' | 'rlimit';
  /** With `user`, the system's limit counts those of a user of its own, where an instance has one. */
  readonly processes: 'cgroup' | 'user';
  readonly cpu: 'cgroup' | 'none';
  readonly freezing: 'cgroup' | 'signals';
  readonly files: 'landlock' | 'none';
}

/** How old a look at the process table may be for `inspect`: instances asked about together share one. */
const tableAgeMs = 200;

/**
 * Instances as plain processes of this machine. They outlive the platform: nothing ties them to it but their pid, and
 * the next platform takes them over by it. Needs Linux's procfs.
 */
export default defineDriver<RuntimeDriver, ProcessOptions>({
  id: 'runtime.process',
  async open(options, host) {
    throwIfAborted(host.signal);
    const procfs = openLinux(host);
    const cgroups = options.cgroups === undefined ? await findCgroups() : options.cgroups;
    const limits = options.cgroups === null ? noParents : await findLimitParents();
    if (cgroups !== null) await sweepCgroups(cgroups);
    await sweepLimits(limits);
    const landlock = await findLandlock();
    if (landlock === null)
      host.log.info('files of services and tools are not bounded here: they may write what their users may', {
        needs: landlockNeeds,
      });
    const means = { cgroups, limits, landlock };
    return createDriver(procfs, createInstances(procfs, host), means, host);
  },
});

/** What bounds instances on this machine; `rlimit`: of each process, not of all together. */
export async function enforcedHere(): Promise<Enforced> {
  const [cgroups, parents, landlock] = await Promise.all([findCgroups(), findLimitParents(), findLandlock()]);
  const second = cgroups === null ? [] : await controllersIn(cgroups);
  const has = (name: ControllerV1) => parents[name] !== null || second.includes(name);
  return {
    memory: has('memory') ? 'cgroup' : 'rlimit',
    processes: has('pids') ? 'cgroup' : 'user',
    cpu: has('cpu') ? 'cgroup' : 'none',
    freezing: cgroups === null ? 'signals' : 'cgroup',
    files: landlock === null ? 'none' : 'landlock',
  };
}

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

function createDriver(
  procfs: Procfs,
  instances: Instances,
  means: { readonly cgroups: string | null; readonly limits: LimitParents; readonly landlock: Landlock | null },
  { clock }: DriverHost,
): RuntimeDriver {
  const freezing = createFreezing(procfs, instances, clock);
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

  return {
    traits: { survivesRestart: true, enforcesMemory: false, boundsFiles: means.landlock !== null },
    stop,

    async start(spec, signal) {
      throwIfAborted(signal);
      if (closed) throw new Fault('SHUTTING_DOWN', `${spec.unit} was not started: the platform is stopping.`);
      if (spec.container)
        throw new Fault('NOT_SUPPORTED', `${spec.unit} is a container, which runtime.process has none of.`);
      if (instances.get(spec.id)) throw new Fault('CONFLICT', `${spec.unit}: the instance ${spec.id} exists already.`);
      const { handle } = await beginInstance(spec, { procfs, instances, clock, ...means });
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

    find: async (id, unit) => findHandle(id, unit, procfs),

    async inspect(handle) {
      const root = readRoot(handle, procfs.bootId);
      const item = instances.get(handle.id);
      if (!root || (!item && !instances.isAlive(root))) return instances.endOf(handle.id) ?? unseenEnd;
      const processes = instances.members(root, item?.seen ?? new Map(), tableAgeMs);
      const sizes = await Promise.all(processes.map(({ pid }) => procfs.memory(pid)));
      const memoryBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
      const isStopped = processes.some(({ pid, state }) => pid === root.pid && state === 'T');
      const isFrozen = isStopped || (cgroupOf(root)?.isFrozen() ?? false);
      return { state: isFrozen ? 'frozen' : 'running', pid: root.pid, memoryBytes };
    },

    list: async () => instances.all().map(({ handle }) => handle),
    onExit: (listener) => instances.onExit(listener),

    freeze: async (handle) => freezing.freeze(living(handle)),
    thaw: async (handle) => freezing.thaw(living(handle)),
    reclaim: async (handle, bytes, signal) => cgroupOf(living(handle).root)?.reclaim(bytes, signal) ?? 0,

    async close() {
      closed = true;
      instances.close();
    },
  };
}
