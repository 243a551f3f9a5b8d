import { existsSync, readFileSync } from 'node:fs';
import { access, constants, mkdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExitedStatus, InstanceLimits } from '#contracts/runtime';
import { ownCgroupV1, type ControllerV1 } from '#kernel/cgroups';
import type { Clock } from '#kernel/clock';
import { cgroupAt, nameOf, sweepCgroups } from './_cgroups.ts';
import type { Root } from './_members.ts';

/**
 * The bounds of an instance. Version 2 of control groups has one group for all of them, which the instance has anyway;
 * where the kernel keeps a controller in version 1, as a machine may that runs both, that takes a group of its own.
 */
export type LimitParents = Readonly<Record<ControllerV1, string | null>>;

export interface Bounds {
  /** The groups of version 1 that were made for it. */
  readonly folders: readonly string[];
  /** What no group bounds. */
  readonly missing: ReadonlySet<ControllerV1>;
}

const controllers = ['memory', 'pids', 'cpu'] as const;

export const noParents: LimitParents = { memory: null, pids: null, cpu: null };
export const unlimited: Bounds = { folders: [], missing: new Set(controllers) };

/** Where groups of version 1 can be made; null where there are none, or the platform may make none. */
export async function findLimitParents(own = ownCgroupV1): Promise<LimitParents> {
  const found = await Promise.all(controllers.map(async (name) => [name, await writable(await own(name))] as const));
  return Object.fromEntries(found) as LimitParents;
}

async function writable(folder: string | null): Promise<string | null> {
  if (folder === null) return null;
  return access(join(folder, 'cgroup.procs'), constants.W_OK).then(
    () =>
      access(folder, constants.W_OK).then(
        () => folder,
        () => null,
      ),
    () => null,
  );
}

/** File and content of one bound. */
type Knob = readonly [file: string, value: number];

/** Each bound in version 2, and in version 1. A share of the CPU is counted from 1024 there. */
const knobs = ({ memoryBytes, processes, cpuWeight }: InstanceLimits): Record<ControllerV1, readonly [Knob, Knob]> => ({
  memory: [
    ['memory.max', memoryBytes],
    ['memory.limit_in_bytes', memoryBytes],
  ],
  pids: [
    ['pids.max', processes],
    ['pids.max', processes],
  ],
  cpu: [
    ['cpu.weight', cpuWeight],
    ['cpu.shares', Math.max(2, Math.round(cpuWeight * 10.24))],
  ],
});

/** Sets the bounds of an instance before it begins. Best effort: what could not be set is told as missing. */
export async function setLimits(
  id: string,
  limits: InstanceLimits,
  cgroup: string | undefined,
  parents: LimitParents,
): Promise<Bounds> {
  const folders: string[] = [];
  const missing = new Set<ControllerV1>();
  // All of it goes at once: half of a service is of no use to anyone.
  if (cgroup !== undefined) await put(cgroup, ['memory.oom.group', 1]);
  for (const name of controllers) {
    const [second, first] = knobs(limits)[name];
    if (cgroup !== undefined && (await put(cgroup, second))) continue;
    const made = parents[name] === null ? null : await makeGroup(join(parents[name], nameOf(id)), first);
    if (made === null) missing.add(name);
    // Controllers mounted together share one group.
    else if (!folders.includes(made)) folders.push(made);
  }
  return { folders, missing };
}

async function makeGroup(path: string, knob: Knob): Promise<string | null> {
  try {
    await mkdir(path, { recursive: true });
  } catch {
    return null;
  }
  if (await put(path, knob)) return path;
  await rmdir(path).catch(() => undefined);
  return null;
}

/** False where the kernel has no such file. */
const put = async (folder: string, [file, value]: Knob): Promise<boolean> =>
  existsSync(join(folder, file)) &&
  writeFile(join(folder, file), String(Math.round(value))).then(
    () => true,
    () => false,
  );

/** Throws when a process is still in one after a bound. */
export async function removeLimits(folders: readonly string[] | undefined, clock: Clock): Promise<void> {
  await Promise.all((folders ?? []).map((folder) => cgroupAt(folder).remove(clock)));
}

/** Removes the empty ones that an earlier platform left. */
export async function sweepLimits(parents: LimitParents): Promise<void> {
  for (const parent of new Set(Object.values(parents))) if (parent !== null) await sweepCgroups(parent);
}

/**
 * Null unless the kernel has killed a process of the instance for want of memory, as its group counts it. With the
 * group's limit when it was that which ran out, and not the machine.
 */
export function memoryKill({ cgroup, limits = [] }: Root): Pick<ExitedStatus, 'limitBytes'> | null {
  for (const folder of [...(cgroup === undefined ? [] : [cgroup]), ...limits]) {
    const [events, control] = [read(folder, 'memory.events'), read(folder, 'memory.oom_control')];
    if (count(events, 'oom_kill') + count(control, 'oom_kill') === 0) continue;
    const hits = count(events, 'oom') + Number(read(folder, 'memory.failcnt'));
    const limit = Number.parseInt(read(folder, 'memory.max') || read(folder, 'memory.limit_in_bytes'), 10);
    return hits > 0 && limit > 0 ? { limitBytes: limit } : {};
  }
  return null;
}

const count = (text: string, name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);

/** Empty where there is none. */
function read(folder: string, file: string): string {
  try {
    return readFileSync(join(folder, file), 'utf8');
  } catch {
    return '';
  }
}
