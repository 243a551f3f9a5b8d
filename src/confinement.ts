import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { defaultFirstUser } from '#config/static';
import { systemCode } from '#kernel/faults';
import { whyNoWay, whyNotReached } from '#runtime/sandbox/reach';
import { whyNoUsers } from '#runtime/sandbox/users';
import { enforcedHere } from './drivers/runtime/process.ts';

/**
 * What bounds the services of a home on this machine, and why none gets a user of its own; for a configuration that says
 * nothing of it. The home need not exist.
 */
export async function confinementHere(home: string, first = defaultFirstUser) {
  const [{ memory, processes, cpu, files }, noUsers] = await Promise.all([enforcedHere(), whyNoUsers(first)]);
  return { memory, processes, cpu, files, noUsers: noUsers ?? (await whyClosed(home, first)) };
}

/** What every service passes or reads. */
async function whyClosed(home: string, first: number): Promise<string | null> {
  const someone = { uid: first, gid: first, groups: [first] };
  return (await whyNoWay(await realOf(resolve(home)), someone)) ?? (await whyNotReached(process.execPath, someone));
}

/** A file stands where a folder should: as much there as nothing. */
const missing: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR']);

/** Without its links; of what does not exist yet, the first folder that will be made. */
async function realOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!missing.has(systemCode(error))) throw error;
  }
  const above = dirname(path);
  return existsSync(above) ? join(await realpath(above), basename(path)) : realOf(above);
}
