import { readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { ownCgroup, ownMemoryCgroupV1 } from '#kernel/cgroups';
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

/** What memory this machine, and this process's control group, have. Elsewhere than on Linux no group's limit is known. */
export async function readMachine(): Promise<Pick<LimitInputs, 'totalBytes' | 'cgroupBytes'>> {
  return { totalBytes: totalmem(), cgroupBytes: await cgroupLimit() };
}

/** The least that a control group of this process allows, of either version: some machines have both. Null without any. */
export async function cgroupLimit(proc = '/proc/self'): Promise<number | null> {
  const [second, first] = await Promise.all([ownCgroup(proc), ownMemoryCgroupV1(proc)]);
  const found = await Promise.all([second === null ? [] : limitsOf(second), first === null ? [] : limitsOfV1(first)]);
  const limits = found.flat();
  return limits.length > 0 ? Math.min(...limits) : null;
}

/**
 * Of version 2, from the group up to where its hierarchy is mounted: every level binds. Above `memory.high` the kernel
 * only slows the group down, but so far that nothing in it works any more.
 */
async function limitsOf(folder: string): Promise<number[]> {
  const own = await Promise.all(['max', 'high'].map((name) => readText(join(folder, `memory.${name}`))));
  const above = dirname(folder);
  // No group of the hierarchy any more, but what it is mounted in.
  const isTop = above === folder || (await readText(join(above, 'cgroup.procs'))) === null;
  return [...own.flatMap(amount), ...(isTop ? [] : await limitsOf(above))];
}

/** Of version 1: its statistics count the levels above in, also those that a container does not see. */
async function limitsOfV1(folder: string): Promise<number[]> {
  const stat = (await readText(join(folder, 'memory.stat'))) ?? '';
  const own = (await readText(join(folder, 'memory.limit_in_bytes'))) ?? '';
  return [/^hierarchical_memory_limit (\d+)$/m.exec(stat)?.[1] ?? '', own].flatMap(amount);
}

/** Nothing for what is no number (`max`), nor for version 1's way to say that there is none: all there can be, in whole pages. */
function amount(text: string | null): number[] {
  const bytes = /^\d+\s*$/.test(text ?? '') ? Number(text) : Infinity;
  return bytes < 2 ** 62 ? [bytes] : [];
}

const readText = (path: string): Promise<string | null> => readFile(path, 'utf8').catch(() => null);
