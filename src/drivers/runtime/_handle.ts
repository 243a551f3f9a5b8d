import type { InstanceHandle, InstanceSpec } from '#contracts/runtime';
import { Fault } from '#kernel/faults';
import type { InstanceId, UnitId } from '#kernel/ids';
import { isCgroupOf } from './_cgroups.ts';
import { marker, type Root } from './_members.ts';
import { hasEnded } from './_procfs.ts';
import type { ProcessEntry, Procfs } from './_procfs.ts';
import type { SpawnedProcess } from './_spawn.ts';

/** What the driver keeps of an instance across restarts of the platform. */
export type ProcessState = {
  readonly pid: number;
  readonly startTicks: number;
  readonly bootId: string;
  readonly cgroup?: string;
  readonly limits?: readonly string[];
};

/** The control groups that an instance was given. */
export type Groups = Pick<ProcessState, 'cgroup' | 'limits'>;

/** Takes note of a process just started. Leaves none behind when it throws. */
export function makeHandle(spec: InstanceSpec, child: SpawnedProcess, procfs: Procfs, groups: Groups): InstanceHandle {
  const entry = procfs.entry(child.pid);
  if (!entry) {
    child.kill('SIGKILL');
    throw new Fault(
      'START_FAILED',
      `${spec.unit}: /proc does not show process ${child.pid}: is it mounted with hidepid?`,
    );
  }
  const state: ProcessState = { pid: child.pid, startTicks: entry.startTicks, bootId: procfs.bootId, ...groups };
  return { driver: 'runtime.process', version: 1, id: spec.id, unit: spec.unit, state };
}

/**
 * The handle of an instance whose start was not noted any more: its first process is the oldest one that leads a session and
 * was started with the instance's marker. Its control group is not known then, and it is frozen by signals.
 */
export function findHandle(id: InstanceId, unit: UnitId, procfs: Procfs): InstanceHandle | null {
  const [root] = [...procfs.table(0).values()]
    .filter((one) => one.session === one.pid && !hasEnded(one) && procfs.variable(one, marker) === id)
    .sort((a, b) => a.startTicks - b.startTicks);
  if (!root) return null;
  const state: ProcessState = { pid: root.pid, startTicks: root.startTicks, bootId: procfs.bootId };
  return { driver: 'runtime.process', version: 1, id, unit, state };
}

/** The root a handle stands for; null when the machine was started anew since, and nothing of it can be left. */
export function readRoot(handle: InstanceHandle, bootId: string): Root | null {
  const { state } = handle;
  if (handle.driver !== 'runtime.process' || handle.version !== 1 || !isState(state)) {
    throw new Fault('BAD_REQUEST', `The handle of ${handle.id} is not one of runtime.process, version 1.`);
  }
  if (state.bootId !== bootId) return null;
  // Their folders are written to and removed: no others than ours, whatever a handle says.
  const isOurs = (path: unknown): path is string => isCgroupOf(path, handle.id);
  const limits = Array.isArray(state.limits) ? state.limits.filter(isOurs) : [];
  return {
    ...{ id: handle.id, pid: state.pid, startTicks: state.startTicks },
    ...(isOurs(state.cgroup) && { cgroup: state.cgroup }),
    ...(limits.length > 0 && { limits }),
  };
}

function isState(state: unknown): state is ProcessState {
  const { pid, startTicks, bootId } = (state ?? {}) as Partial<ProcessState>;
  return Number.isSafeInteger(pid) && Number.isSafeInteger(startTicks) && typeof bootId === 'string';
}

/**
 * A start is counted in hundredths of a second, so a pid that went round within one could still be mistaken. The marker
 * settles it where it can be read; a process that overwrote its environment (setproctitle) has none, which proves nothing.
 */
export function hasMarkerOfAnother(procfs: Procfs, entry: ProcessEntry, id: string): boolean {
  const found = procfs.variable(entry, marker);
  return found !== undefined && found !== id;
}
