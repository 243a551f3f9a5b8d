import { readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { formatBytes } from '#kernel/quantities';

export interface MemoryLimit {
  readonly bytes: number;
  /** As a noun phrase: what sets it. */
  readonly reason: string;
}

export interface LimitInputs {
  readonly totalBytes: number;
  /** The cgroup's own limit; null when it has none. */
  readonly cgroupBytes: number | null;
  readonly configuredBytes: number | undefined;
  /** Kept back for the rest of the machine; by default a tenth, at least 1 GiB. */
  readonly reserveBytes: number | undefined;
}

/** The ledger's limit: the smallest of the configured value, the cgroup's limit and the machine's memory less a reserve. */
export function memoryLimit({ totalBytes, cgroupBytes, configuredBytes, reserveBytes }: LimitInputs): MemoryLimit {
  const reserve = reserveBytes ?? Math.max(2 ** 30, totalBytes / 10);
  const machine = {
    bytes: Math.floor(Math.max(0, totalBytes - reserve)),
    reason: `the machine's ${formatBytes(totalBytes)} less a reserve of ${formatBytes(reserve)}`,
  };
  const limits: MemoryLimit[] = [machine];
  if (cgroupBytes !== null && cgroupBytes < totalBytes) {
    limits.push({
      bytes: Math.floor(cgroupBytes * 0.95),
      reason: `the control group's ${formatBytes(cgroupBytes)} less a twentieth`,
    });
  }
  if (configuredBytes !== undefined)
    limits.push({ bytes: configuredBytes, reason: 'memory.limit of the configuration' });
  return limits.reduce((least, limit) => (limit.bytes < least.bytes ? limit : least));
}

/** What memory this machine, and this process's control group, have. Linux with cgroup v2; elsewhere no group's limit is known. */
export async function readMachine(): Promise<Pick<LimitInputs, 'totalBytes' | 'cgroupBytes'>> {
  return { totalBytes: totalmem(), cgroupBytes: await cgroupLimit() };
}

/** The least `memory.max` from this process's group up to the root: every level binds. */
async function cgroupLimit(): Promise<number | null> {
  const membership = await readFile('/proc/self/cgroup', 'utf8').catch(() => '');
  const group = /^0::(\/.*)$/m.exec(membership)?.[1];
  if (group === undefined) return null;
  const parts = group.split('/').filter(Boolean);
  const paths = [...parts.keys(), parts.length].map((depth) =>
    ['/sys/fs/cgroup', ...parts.slice(0, depth), 'memory.max'].join('/'),
  );
  const values = await Promise.all(paths.map((path) => readFile(path, 'utf8').catch(() => 'max')));
  const limits = values.map((text) => Number(text.trim())).filter(Number.isFinite);
  return limits.length > 0 ? Math.min(...limits) : null;
}
