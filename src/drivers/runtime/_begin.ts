import type { InstanceSpec } from '#contracts/runtime';
import type { Clock } from '#kernel/clock';
import { cgroupOf, makeCgroup } from './_cgroups.ts';
import { wrapperFor } from './_confine.ts';
import type { Landlock } from './_landlock.ts';
import { removeLimits, setLimits, unlimited, type LimitParents } from './_limits.ts';
import { makeHandle, readRoot } from './_handle.ts';
import type { Instances, Tracked } from './_instances.ts';
import type { Root } from './_members.ts';
import { raiseOomScore } from './_oom.ts';
import type { Procfs } from './_procfs.ts';
import { spawnDetached } from './_spawn.ts';

/** What the kernel counts on top of an instance's memory, in thousandths, when its spec does not say. */
const defaultOomScoreAdj = 500;

interface BeginDeps {
  readonly procfs: Procfs;
  readonly instances: Instances;
  readonly clock: Clock;
  /** The folder in which instances get their control groups. */
  readonly cgroups: string | null;
  readonly limits: LimitParents;
  readonly landlock: Landlock | null;
}

/** Starts an instance in a control group of its own, where it can have one, and tracks it. Leaves nothing when it throws. */
export async function beginInstance(spec: InstanceSpec, deps: BeginDeps): Promise<Tracked> {
  const { procfs, instances, clock, cgroups, landlock } = deps;
  const cgroup = cgroups === null ? null : await makeCgroup(cgroups, spec.id);
  const { confine } = spec;
  const bounds = confine ? await setLimits(spec.id, confine.limits, cgroup?.path, deps.limits) : unlimited;
  let item: Tracked;
  try {
    const joined = [...(cgroup ? [cgroup.path] : []), ...bounds.folders];
    const child = await spawnDetached(spec, confine ? wrapperFor(confine, joined, bounds.missing, landlock) : []);
    // Its exit can't have been told yet, and until then even an ended process keeps its line in the table.
    const groups = {
      ...(cgroup && { cgroup: cgroup.path }),
      ...(bounds.folders.length > 0 && { limits: bounds.folders }),
    };
    const handle = makeHandle(spec, child, procfs, groups);
    item = instances.track(handle, readRoot(handle, procfs.bootId) as Root, child);
  } catch (error) {
    await Promise.allSettled([cgroup?.remove(clock), removeLimits(bounds.folders, clock)]);
    throw error;
  }
  await settleIn(item, spec.oomScoreAdj ?? defaultOomScoreAdj, instances);
  return item;
}

/** What a quick one has started before either was written is found in the table. */
async function settleIn({ root, seen }: Tracked, score: number, instances: Instances): Promise<void> {
  const cgroup = cgroupOf(root);
  raiseOomScore(root.pid, score);
  await cgroup?.add(root.pid);
  for (const { pid } of instances.members(root, seen, 0)) {
    raiseOomScore(pid, score);
    if (pid !== root.pid) await cgroup?.add(pid);
  }
}
