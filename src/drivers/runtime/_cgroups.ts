import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { access, constants, mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { sleep } from '#kernel/abort';
import { ownCgroup } from '#kernel/cgroups';
import type { Clock } from '#kernel/clock';
import { systemCode } from '#kernel/faults';

/**
 * Control groups, version 2: one for each instance, below a folder that the platform may write. Freezing by one is one
 * write for all its processes at once, which none of them can see or race by a fork; signals are what is left without.
 * (Documentation/admin-guide/cgroup-v2.rst of the kernel.)
 */
export interface Cgroup {
  readonly path: string;
  /** The processes in it; none when it is gone. */
  pids(): number[];
  /** Moves a process here. Best effort: it may have ended, or belong to someone else. */
  add(pid: number): Promise<void>;
  /** True while it is frozen, or about to be. */
  isFreezing(): boolean;
  isFrozen(): boolean;
  /** Resolves with false, and nothing frozen, when that could not be had within a bound. */
  freeze(clock: Clock): Promise<boolean>;
  /** Nothing happens to one that is not frozen, or gone. */
  thaw(): void;
  /**
   * Has the kernel take back so many bytes of it at most, of what it can take back at all, until the signal aborts.
   * Resolves with the bytes by which the group became smaller.
   */
  reclaim(bytes: number, signal: AbortSignal): Promise<number>;
  /** Removes it with the groups in it. Throws when a process is still there after a bound. */
  remove(clock: Clock): Promise<void>;
}

/** What the names of the groups begin with: the instance's id follows. */
const prefix = 'sutaz-';

export const nameOf = (id: string): string => prefix + id;

/**
 * The service manager may start the platform in a group of this name within one that is wholly its own (systemd:
 * `Delegate=yes`, `DelegateSubgroup=sutaz-platform`). Instances are then made beside it, with their memory counted,
 * which the kernel allows only in a group without processes.
 */
const ownName = 'sutaz-platform';

const frozenWithinMs = 2_000;
const emptyWithinMs = 2_000;
const lookMs = 2;
/** Bytes asked for at once: a call cannot be called off, and swapping out so much takes some tens of milliseconds. */
const stepBytes = 32 * 2 ** 20;

/** Where groups of instances can be made; null when the platform may make none. */
export async function findCgroups(own: () => Promise<string | null> = ownCgroup): Promise<string | null> {
  const folder = await own();
  if (folder === null) return null;
  const isDelegated = basename(folder) === ownName;
  const parent = isDelegated ? dirname(folder) : folder;
  if (!(await isWritable(parent)) || !(await isWritable(join(parent, 'cgroup.procs')))) return null;
  // One by one: a controller that is not there would refuse the others.
  for (const controller of isDelegated ? ['cpu', 'pids', 'memory'] : []) {
    await writeFile(join(parent, 'cgroup.subtree_control'), `+${controller}`).catch(() => undefined);
  }
  return parent;
}

/** The controllers that groups within a folder have. */
export const controllersIn = async (folder: string): Promise<readonly string[]> =>
  (await readFile(join(folder, 'cgroup.subtree_control'), 'utf8').catch(() => '')).trim().split(' ');

/** Makes the group of an instance. Null where it cannot be made, or the kernel cannot freeze it (before 5.2). */
export async function makeCgroup(parent: string, id: string): Promise<Cgroup | null> {
  const path = join(parent, nameOf(id));
  try {
    await mkdir(path);
  } catch {
    return null;
  }
  if (existsSync(join(path, 'cgroup.freeze'))) return cgroupAt(path);
  await rmdir(path).catch(() => undefined);
  return null;
}

/** True for a path that `makeCgroup` gives an instance. */
export const isCgroupOf = (path: unknown, id: string): path is string =>
  typeof path === 'string' && path.startsWith('/') && basename(path) === nameOf(id);

/**
 * Removes the empty groups that an earlier platform left, as when it was killed between making one and noting it. One
 * with processes in it stays: its instance is taken over by its record.
 */
export async function sweepCgroups(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  const left = names.filter((name) => /^sutaz-i-[0-9a-f]{16}$/.test(name));
  await Promise.all(left.map((name) => removeTree(join(parent, name)).catch(() => undefined)));
}

/** The group of an instance; null when it was given none. */
export const cgroupOf = ({ cgroup }: { readonly cgroup?: string }): Cgroup | null =>
  cgroup === undefined ? null : cgroupAt(cgroup);

export function cgroupAt(path: string, proc = '/proc'): Cgroup {
  const at = (name: string) => join(path, name);
  // Synchronous where nothing waits: the kernel answers from memory. Moving a process can take it milliseconds.
  const put = (name: string, text: string): boolean => {
    try {
      writeFileSync(at(name), text);
      return true;
    } catch {
      return false;
    }
  };
  const isFrozen = () => /^frozen 1$/m.test(readNow(at('cgroup.events')));
  const size = async () => Number(await readFile(at('memory.current'), 'utf8'));
  return {
    path,
    pids: () =>
      readNow(at('cgroup.procs'))
        .split('\n')
        .map(Number)
        .filter((pid) => pid > 0),
    add: (pid) => writeFile(at('cgroup.procs'), String(pid)).catch(() => undefined),
    isFreezing: () => readNow(at('cgroup.freeze')).trim() === '1',
    isFrozen,
    thaw: () => void put('cgroup.freeze', '0'),
    async freeze(clock) {
      if (!put('cgroup.freeze', '1')) return false;
      for (const from = clock.now(); !isFrozen(); await sleep(clock, lookMs)) {
        if (clock.now() - from < frozenWithinMs) continue;
        put('cgroup.freeze', '0');
        return false;
      }
      return true;
    },
    async reclaim(bytes, signal) {
      if (!existsSync(at('memory.reclaim'))) return 0;
      const texts = ['memory.stat', 'memory.swap.max', 'memory.swap.current'].map((name) => readNow(at(name)));
      const [stat = '', swapMax = '', swapCurrent = ''] = texts;
      const swap = freeSwap(readNow(`${proc}/meminfo`), swapMax, swapCurrent);
      const before = await size();
      let left = Math.min(bytes, reclaimable(stat, swap));
      for (; left > 0 && !signal.aborted; left -= stepBytes) {
        if (!(await takeBack(at('memory.reclaim'), Math.min(left, stepBytes)))) break;
      }
      return Math.max(0, before - (await size()));
    },
    async remove(clock) {
      for (const from = clock.now(); ; await sleep(clock, lookMs)) {
        try {
          return await removeTree(path);
        } catch (error) {
          // A killed process leaves its group when its memory is unmapped, a moment after it is dead to everyone else.
          if (systemCode(error) !== 'EBUSY' || clock.now() - from >= emptyWithinMs) throw error;
        }
      }
    },
  };
}

/** False when the kernel could not take back as much as was asked (EAGAIN): then there is no more to be had. */
async function takeBack(file: string, bytes: number): Promise<boolean> {
  try {
    await writeFile(file, String(Math.ceil(bytes)));
    return true;
  } catch (error) {
    if (systemCode(error) === 'EAGAIN') return false;
    throw error;
  }
}

/** Bytes that can be taken back: file cache, and of the rest what the swap has room for. */
export function reclaimable(stat: string, swapBytes: number): number {
  const field = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
  const anonymous = field('inactive_anon') + field('active_anon');
  return field('inactive_file') + field('active_file') + Math.min(anonymous, swapBytes);
}

/** Bytes of swap that are free, for the machine and within the group's own limit. */
export function freeSwap(meminfo: string, swapMax: string, swapCurrent: string): number {
  const machine = Number(/^SwapFree:\s+(\d+) kB$/m.exec(meminfo)?.[1] ?? 0) * 1024;
  const limit = Number.parseInt(swapMax, 10);
  return Number.isNaN(limit) ? machine : Math.max(0, Math.min(machine, limit - Number(swapCurrent)));
}

/** The groups within first; a group's files go with it. */
async function removeTree(path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(path, entry.name));
  await rmdir(path).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error;
  });
}

const isWritable = (path: string): Promise<boolean> =>
  access(path, constants.W_OK).then(
    () => true,
    () => false,
  );

/** Empty when it is gone. */
function readNow(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
