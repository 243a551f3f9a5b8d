import type { InstanceHandle, InstanceSpec } from '#contracts/runtime';
import { Fault } from '#kernel/faults';
import { isCgroupOf } from './_cgroups.ts';
import { marker, type Root } from './_members.ts';
import type { ProcessEntry, Procfs } from './_procfs.ts';
import type { SpawnedProcess } from './_spawn.ts';

/** What the driver keeps of an instance across restarts of the platform. */
export type ProcessState = {
  readonly pid: number;
  readonly startTicks: number;
  readonly bootId: string;
  readonly cgroup?: string;
};

/** Takes note of a process just started. Leaves none behind when it throws. */
export function makeHandle(spec: InstanceSpec, child: SpawnedProcess, procfs: Procfs, cgroup?: string): InstanceHandle {
  const entry = procfs.entry(child.pid);
  if (!entry) {
    child.kill('SIGKILL');
    throw new Fault(
      'START_FAILED',
      `${spec.unit}: /proc does not show process ${child.pid}: is it mounted with hidepid?`,
    );
  }
  const base = { pid: child.pid, startTicks: entry.startTicks, bootId: procfs.bootId };
  const state: ProcessState = cgroup === undefined ? base : { ...base, cgroup };
  return { driver: 'runtime.process', version: 1, id: spec.id, unit: spec.unit, state };
}

/** The root a handle stands for; null when the machine was started anew since, and nothing of it can be left. */
export function readRoot(handle: InstanceHandle, bootId: string): Root | null {
  const { state } = handle;
  if (handle.driver !== 'runtime.process' || handle.version !== 1 || !isState(state)) {
    throw new Fault('BAD_REQUEST', `The handle of ${handle.id} is not one of runtime.process, version 1.`);
  }
  if (state.bootId !== bootId) return null;
  const root = { id: handle.id, pid: state.pid, startTicks: state.startTicks };
  // Its folder is written to and removed: no other than one of ours, whatever a handle says.
  return isCgroupOf(state.cgroup, handle.id) ? { ...root, cgroup: state.cgroup } : root;
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
