import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCode } from '#kernel/faults';

export interface Someone {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

interface Owned {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** The bits that someone has on a file, 0 to 7, by the first class they are in (path_resolution(7)). */
export function bitsFor({ uid, gid, groups }: Someone, file: Owned): number {
  if (file.uid === uid) return (file.mode >> 6) & 7;
  return (file.gid === gid || groups.includes(file.gid) ? file.mode >> 3 : file.mode) & 7;
}

/**
 * Why someone cannot get to where a file or a folder is, with the place at which the way ends; null when they can. Access
 * lists are not looked at: a place that only they open counts as closed.
 */
export async function whyNoWay(path: string, someone: Someone): Promise<string | null> {
  for (let at = path; at !== dirname(at);) {
    at = dirname(at);
    if ((bitsFor(someone, await stat(at)) & 1) === 0) return `${at} is closed to other users, and ${path} is in there`;
  }
  return null;
}

/** Why someone cannot read it; null when they can, or when nothing is there. */
export async function whyNotReached(path: string, someone: Someone): Promise<string | null> {
  let real: string;
  try {
    real = await realpath(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
  const noWay = await whyNoWay(real, someone);
  if (noWay !== null) return noWay;
  const file = await stat(real);
  const wanted = file.isDirectory() ? 5 : 4;
  return (bitsFor(someone, file) & wanted) === wanted ? null : `${path} cannot be read by other users`;
}
