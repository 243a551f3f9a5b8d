import { readFileSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Clock } from '#kernel/clock';

/** One line of the process table: the fields of `/proc/<pid>/stat` (proc_pid_stat(5)) that say who belongs to whom. */
export interface ProcessEntry {
  readonly pid: number;
  /** `R` `S` `D` run or wait, `T` is stopped, `Z` and `X` have ended. */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Clock ticks from the boot to its start. A pid is used again, a pid with its start never (within one boot). */
  readonly startTicks: number;
}

export type ProcessTable = ReadonlyMap<number, ProcessEntry>;

const kernelThread = 0x0020_0000; // PF_KTHREAD, include/linux/sched.h

/** Null for a kernel thread, and for what isn't a stat line. The name may hold spaces and brackets: the last bracket ends it. */
export function parseStat(text: string): ProcessEntry | null {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  if (fields.length < 20 || (field(9) & kernelThread) !== 0) return null;
  return {
    pid: Number.parseInt(text, 10),
    state: fields[0] as string,
    parent: field(4),
    group: field(5),
    session: field(6),
    startTicks: field(22),
  };
}

export const hasEnded = (entry: ProcessEntry): boolean => entry.state === 'Z' || entry.state === 'X';

/** What the driver reads of the kernel. `root` is `/proc`, or a folder of a test. */
export interface Procfs {
  /** Null when there is no such process. */
  entry(pid: number): ProcessEntry | null;
  /** The whole table, at most `maxAgeMs` old: calls near to each other share one reading. */
  table(maxAgeMs: number): ProcessTable;
  /** The value of a variable in the environment a process was started with; undefined when it has none or hides it. */
  variable(entry: ProcessEntry, name: string): string | undefined;
  /** Proportional set size in bytes; resident set size where the kernel doesn't show the former; 0 for one that has ended. */
  memory(pid: number): Promise<number>;
  /** How many processes the kernel has killed for want of memory since the boot; null where it doesn't count them. */
  oomKills(): number | null;
  /** Changes with each boot of the machine. */
  readonly bootId: string;
}

/** Throws ENOENT where the system has no procfs. */
export function openProcfs(clock: Clock, root = '/proc'): Procfs {
  const bootId = readFileSync(`${root}/sys/kernel/random/boot_id`, 'utf8').trim();
  let last: { readonly at: number; readonly table: ProcessTable } | undefined;
  const environs = createEnvironCache(root);
  const entry = (pid: number) => {
    const text = readNow(`${root}/${pid}/stat`);
    return text === null ? null : parseStat(text);
  };
  return {
    bootId,
    entry,
    table(maxAgeMs) {
      // Synchronous on purpose: procfs never touches a disk, and a hop to the thread pool costs more than the reading.
      if (last && maxAgeMs > 0 && clock.now() - last.at <= maxAgeMs) return last.table;
      const table = new Map<number, ProcessEntry>();
      for (const name of readdirSync(root)) {
        const found = /^\d+$/.test(name) ? entry(Number(name)) : null;
        if (found) table.set(found.pid, found);
      }
      environs.keepOnly(table);
      last = { at: clock.now(), table };
      return table;
    },
    variable: (of, name) =>
      environs
        .get(of)
        ?.find((pair) => pair.startsWith(`${name}=`))
        ?.slice(name.length + 1),
    memory: (pid) => proportionalSetSize(`${root}/${pid}`),
    oomKills() {
      const match = /^oom_kill (\d+)$/m.exec(readNow(`${root}/vmstat`) ?? '');
      return match ? Number(match[1]) : null;
    },
  };
}

/** `null` when the process ended in between, or belongs to someone else. */
function readNow(path: string): string | null {
  try {
    // UTF-8 although a name may hold anything: Node reads a whole file in one call for it, in half the time.
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/**
 * An environment is fixed when a process is executed, so it is read once for each. Nothing is remembered of an empty
 * one: between fork and exec the kernel shows none yet. Only our own variables are kept: the rest may hold secrets.
 */
function createEnvironCache(root: string) {
  const known = new Map<number, { readonly startTicks: number; readonly pairs: readonly string[] }>();
  return {
    get(entry: ProcessEntry): readonly string[] | undefined {
      const cached = known.get(entry.pid);
      if (cached?.startTicks === entry.startTicks) return cached.pairs;
      const text = readNow(`${root}/${entry.pid}/environ`);
      if (!text) return undefined;
      const pairs = text.split('\0').filter((pair) => pair.startsWith('SUTAZ_'));
      known.set(entry.pid, { startTicks: entry.startTicks, pairs });
      return pairs;
    },
    keepOnly(table: ProcessTable) {
      for (const pid of known.keys()) if (!table.has(pid)) known.delete(pid);
    },
  };
}

async function proportionalSetSize(folder: string): Promise<number> {
  // smaps_rollup walks the page tables, milliseconds for a large process: in the thread pool, not on the event loop.
  for (const [file, line] of [
    ['smaps_rollup', /^Pss:\s+(\d+) kB$/m],
    ['status', /^VmRSS:\s+(\d+) kB$/m],
  ] as const) {
    const match = line.exec(await readFile(`${folder}/${file}`, 'latin1').catch(() => ''));
    if (match) return Number(match[1]) * 1024;
  }
  return 0;
}
