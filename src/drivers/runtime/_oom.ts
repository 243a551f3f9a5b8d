import { readFileSync, writeFileSync } from 'node:fs';
import type { Clock } from '#kernel/clock';

/**
 * Best effort: when memory runs out, the kernel is to take a service before the platform, by so many thousandths of the
 * memory. What a process starts from then on inherits it. Counted from the platform's own, which a desktop session
 * raises, and which nobody but root may go below.
 */
export function raiseOomScore(pid: number, score: number, proc = '/proc'): void {
  try {
    const own = Number(readFileSync(`${proc}/self/oom_score_adj`, 'utf8'));
    writeFileSync(`${proc}/${pid}/oom_score_adj`, String(Math.min(1_000, Math.max(0, own) + score)));
  } catch {
    // It has ended already, or the system doesn't allow it: nothing depends on it.
  }
}

/**
 * Whether a SIGKILL that we didn't send was the kernel's, for want of memory. The kernel tells a parent no more than
 * the signal, and its log is for root; what anyone may read is its count of such kills (`oom_kill` in /proc/vmstat).
 * Evidence is therefore: the count was seen to rise shortly before the end. Another process killed for want of memory in
 * the same seconds would be mistaken for ours; an operator's `kill -9` on a machine with memory to spare never is.
 */
export interface OomWatch {
  /** Looks at the count. Called with every look at the processes, so that a rise is dated to within their interval. */
  sample(): void;
  roseLately(): boolean;
}

/** How long the kernel may take from counting a kill until the parent hears of it: a large process unmaps slowly. */
const windowMs = 10_000;

export function createOomWatch(clock: Clock, read: () => number | null): OomWatch {
  let count = read();
  let rise: number | undefined;
  const sample = () => {
    const now = read();
    if (now !== null && count !== null && now > count) rise = clock.now();
    count = now;
  };
  return {
    sample,
    roseLately() {
      sample();
      return rise !== undefined && clock.now() - rise <= windowMs;
    },
  };
}
