import { sleep } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import type { Logger } from '#kernel/logger';
import { cgroupOf } from './_cgroups.ts';
import { removeLimits } from './_limits.ts';
import { isSame, membersOf, type Root, type Seen } from './_members.ts';
import { hasEnded, type ProcessEntry, type Procfs } from './_procfs.ts';
import { signalProcess } from './_signals.ts';

export interface StopJob {
  /** Resolves when nothing of the instance is left. */
  readonly done: Promise<void>;
  /** A second stop may shorten the grace, never lengthen it. */
  hasten(graceMs: number): void;
}

interface StopDeps {
  readonly procfs: Procfs;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told just before the first SIGKILL, so that the end isn't taken for the kernel's doing. */
  readonly onKill: () => void;
}

/** How often the processes are looked at: a quick end is seen quickly, a long grace costs little. */
const firstLookMs = 5;
const lookMs = 50;
/** SIGKILL is certain but for a process inside the kernel, waiting for a disk or a mount that is gone. */
const stuckMs = 10_000;

/**
 * Ends an instance with everything it started:
 *
 * 1. SIGTERM to all its processes; then SIGCONT, so that a frozen one (or one being frozen
 *    just now) wakes up to the SIGTERM and to nothing else; the others ignore it; one frozen by its control group is let
 *    go after both, for the same reason;
 * 2. wait until those have ended or the grace is over; who is found then (forked in the same moment, or by a handler of
 *    SIGTERM) gets its SIGTERM and the rest of the grace;
 * 3. SIGKILL to what is left, again and again: between a look and a kill a process can fork once more;
 * 4. its control groups are removed: they are empty now.
 */
export function stopInstance(root: Root, seen: Seen, graceMs: number, deps: StopDeps): StopJob {
  const { clock } = deps;
  let killAt = clock.now() + graceMs;
  // The clock's timers keep no process alive, but the platform must not end in the middle of a stop.
  const hold = setInterval(() => undefined, 60_000);
  return {
    done: run(root, seen, deps, () => clock.now() >= killAt).finally(() => clearInterval(hold)),
    hasten(ms) {
      killAt = Math.min(killAt, clock.now() + ms);
    },
  };
}

async function run(root: Root, seen: Seen, deps: StopDeps, isOver: () => boolean): Promise<void> {
  const { procfs, clock, log, onKill } = deps;
  const cgroup = cgroupOf(root);
  const asked = new Set<string>();
  const refused = new Set<string>();
  const left = () =>
    membersOf(root, procfs.table(0), procfs, seen, cgroup?.pids()).filter((entry) => !refused.has(key(entry)));
  const send = (entry: ProcessEntry, signal: NodeJS.Signals) => {
    if (signalProcess(procfs, entry, signal) !== 'refused') return;
    refused.add(key(entry));
    log.warn('a process of the instance belongs to another user and cannot be ended', { id: root.id, pid: entry.pid });
  };
  let killedAt: number | undefined;
  let wait = firstLookMs;
  for (let members = left(); members.length > 0; members = left()) {
    if (isOver()) {
      if (killedAt === undefined) onKill();
      killedAt ??= clock.now();
      for (const entry of members) send(entry, 'SIGKILL'); // 3
      if (clock.now() - killedAt > stuckMs) {
        log.warn('a process does not end although it was killed: it waits inside the kernel', {
          ...{ id: root.id, pids: members.map(({ pid }) => pid) },
        });
        killedAt = clock.now();
      }
    } else {
      for (const entry of members.filter((member) => !asked.has(key(member)))) {
        asked.add(key(entry));
        send(entry, 'SIGTERM'); // 1 and 2
        send(entry, 'SIGCONT');
      }
      cgroup?.thaw();
    }
    wait = await waitForEnd(members, wait, isOver, deps);
  }
  // If they can't be, the next platform tries again.
  await Promise.all([cgroup?.remove(clock), removeLimits(root.limits, clock)]).catch((error: unknown) =>
    log.warn('the control groups of an instance cannot be removed', { id: root.id, error }),
  ); // 4
}

const key = (entry: ProcessEntry): string => `${entry.pid}:${entry.startTicks}`;

/** Looks at the known ones only, which is cheap; the whole table is read again when they have ended or time is up. */
async function waitForEnd(
  members: ProcessEntry[],
  wait: number,
  isOver: () => boolean,
  deps: StopDeps,
): Promise<number> {
  const wasOver = isOver();
  for (;;) {
    await sleep(deps.clock, wait);
    wait = Math.min(lookMs, wait * 2);
    const alive = members.some(({ pid, startTicks }) => {
      const now = deps.procfs.entry(pid);
      return isSame(now, startTicks) && !hasEnded(now);
    });
    if (!alive || wasOver || isOver()) return wait;
  }
}
