import { readFileSync } from 'node:fs';

/**
 * What tells a process from a later one of the same number: the boot of the machine and the tick at which it started
 * (proc_pid_stat(5)). Null where the system does not say, or there is no such process.
 */
export function processMark(pid: number): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name may hold spaces and brackets: the last bracket ends it.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return ticks === undefined ? null : `${boot} ${ticks}`;
  } catch {
    return null;
  }
}
