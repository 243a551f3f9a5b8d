import { readFile } from 'node:fs/promises';

/**
 * The folder of this process's control group, version 2; null where none is mounted. In a container with a view of its
 * own (a cgroup namespace) it is the group as seen from there.
 */
export async function ownCgroup(proc = '/proc/self'): Promise<string | null> {
  const { membership, mounts } = await membershipOf(proc);
  return cgroupFolder(membership, mounts);
}

/** The same in version 1, of the group that counts its memory: there each controller has a hierarchy of its own. */
export const ownMemoryCgroupV1 = (proc?: string): Promise<string | null> => ownCgroupV1('memory', proc);

/** Of any controller of version 1. */
export async function ownCgroupV1(controller: ControllerV1, proc = '/proc/self'): Promise<string | null> {
  const { membership, mounts } = await membershipOf(proc);
  return folderV1(controller, membership, mounts);
}

export type ControllerV1 = 'memory' | 'pids' | 'cpu';

async function membershipOf(proc: string): Promise<{ readonly membership: string; readonly mounts: string }> {
  const [membership = '', mounts = ''] = await Promise.all(
    ['cgroup', 'mountinfo'].map((name) => readFile(`${proc}/${name}`, 'utf8').catch(() => '')),
  );
  return { membership, mounts };
}

/** From `/proc/<pid>/cgroup` (cgroups(7)) and `/proc/<pid>/mountinfo` (proc_pid_mountinfo(5)). */
export const cgroupFolder = (membership: string, mountinfo: string): string | null =>
  // Version 1 has lines with a number of their own beside it, and may have all the controllers.
  folderIn(mountinfo, /^cgroup2 /, /^0::(\/.*)$/m.exec(membership)?.[1]);

export const folderV1 = (controller: ControllerV1, membership: string, mountinfo: string): string | null =>
  folderIn(
    mountinfo,
    new RegExp(`^cgroup \\S+ (?:\\S*,)?${controller}(?:,|$)`),
    new RegExp(`^\\d+:(?:[^:\\n]*,)?${controller}(?:,[^:\\n]*)?:(/.*)$`, 'm').exec(membership)?.[1],
  );

/** Where a group is found, below the mount whose type, source and options look so. */
function folderIn(mountinfo: string, type: RegExp, group: string | undefined): string | null {
  const mount = mountinfo
    .split('\n')
    .map((line) => line.split(' - '))
    .find(([, kind]) => kind !== undefined && type.test(kind))?.[0]
    ?.split(' ');
  const [root, point] = [mount?.[3], mount?.[4]].map((path) => path && unescape(path));
  if (group === undefined || !root || !point) return null;
  // A part of the hierarchy may be mounted, as into a container: paths count from there.
  const inside = root === '/' ? group : group.startsWith(root) ? group.slice(root.length) : null;
  return inside === null ? null : `${point}${inside}`.replace(/\/+$/, '') || '/';
}

/** Spaces and the like are written as their octal numbers there. */
const unescape = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
