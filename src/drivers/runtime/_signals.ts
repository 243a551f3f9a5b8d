import { kill } from 'node:process';
import { systemCode } from '#kernel/faults';
import { isSame } from './_members.ts';
import type { ProcessEntry, Procfs } from './_procfs.ts';

/** `refused`: it belongs to another user now (a set-uid program), and is out of our reach. */
export type Delivery = 'sent' | 'gone' | 'refused';

/** Signals exactly this process: looked at again just before, because its pid may have been given to a stranger. */
export function signalProcess(procfs: Pick<Procfs, 'entry'>, target: ProcessEntry, signal: NodeJS.Signals): Delivery {
  // 0 and negative numbers mean groups, 1 is the system's first process: never an instance, whatever a handle says.
  if (target.pid <= 1 || target.pid === process.pid) return 'refused';
  if (!isSame(procfs.entry(target.pid), target.startTicks)) return 'gone';
  try {
    kill(target.pid, signal);
    return 'sent';
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return 'gone';
    if (systemCode(error) === 'EPERM') return 'refused';
    throw error;
  }
}
