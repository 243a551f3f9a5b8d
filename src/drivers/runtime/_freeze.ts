import { sleep } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { cgroupOf, type Cgroup } from './_cgroups.ts';
import type { Instances } from './_instances.ts';
import type { Root, Seen } from './_members.ts';
import type { Procfs } from './_procfs.ts';
import { signalProcess } from './_signals.ts';

interface Living {
  readonly root: Root;
  readonly seen: Seen;
}

export interface Freezing {
  freeze(item: Living): Promise<void>;
  thaw(item: Living): void;
}

/** Freezes by the instance's control group where it has one and all of it is in there, otherwise by signals. */
export function createFreezing(procfs: Procfs, instances: Instances, clock: Clock): Freezing {
  const byGroup = async (cgroup: Cgroup, { root, seen }: Living): Promise<boolean> => {
    const strays = () => {
      const inside = new Set(cgroup.pids());
      return instances.members(root, seen, 0).filter(({ pid }) => !inside.has(pid));
    };
    // Again, for what one of them forked while it was moved.
    for (let tries = 3, left = strays(); left.length > 0; left = strays()) {
      if (tries-- === 0) return false;
      for (const { pid } of left) await cgroup.add(pid);
    }
    if (!(await cgroup.freeze(clock))) return false;
    // A stop has thawed it, perhaps before it was frozen.
    if (instances.isStopping(root.id)) cgroup.thaw();
    return true;
  };
  const bySignals = async ({ root, seen }: Living): Promise<void> => {
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
  };
  return {
    async freeze(item) {
      const cgroup = cgroupOf(item.root);
      if (!cgroup || !(await byGroup(cgroup, item))) await bySignals(item);
    },
    thaw({ root, seen }) {
      const cgroup = cgroupOf(root);
      if (cgroup?.isFreezing()) {
        cgroup.thaw();
        // An earlier platform may have stopped it by signals, too.
        if (procfs.entry(root.pid)?.state !== 'T') return;
      }
      for (const entry of instances.members(root, seen, 0).reverse()) signalProcess(procfs, entry, 'SIGCONT');
    },
  };
}
