import { constants } from 'node:fs';
import { lchown, lstat, open, readdir } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from './faults.ts';

/**
 * Gives a folder with all that is in it to a user, itself last: cut short, it is done again. Links are not followed, and
 * files that are linked elsewhere too stay whose they are: they are shared, and not the folder's alone. What works in there
 * meanwhile may put a link in a folder's place: each is held open, and reached by that.
 */
export const giveTo = (folder: string, uid: number, gid = uid): Promise<void> => giveFolder(folder, 0, uid, gid);

/** `flags` are those of open(2), beside that it must be a folder. */
async function giveFolder(folder: string, flags: number, uid: number, gid: number): Promise<void> {
  const held = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY | flags);
  try {
    const path = pathOf(held, folder);
    for (const entry of await readdir(path, { withFileTypes: true })) {
      await giveEntry(join(path, entry.name), entry.isDirectory(), uid, gid).catch(gone);
    }
    await held.chown(uid, gid);
  } finally {
    await held.close();
  }
}

async function giveEntry(path: string, isFolder: boolean, uid: number, gid: number): Promise<void> {
  if (isFolder) await giveFolder(path, constants.O_NOFOLLOW, uid, gid);
  else if ((await lstat(path)).nlink === 1) await lchown(path, uid, gid);
}

/** What goes, or becomes something else, while it is given away is nothing to give. */
const gone = (error: unknown): void => {
  if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? '')) throw error;
};

/** The folder itself, wherever its name leads by now; only Linux has such paths. */
const pathOf = ({ fd }: FileHandle, folder: string): string =>
  process.platform === 'linux' ? `/proc/self/fd/${fd}` : folder;

/** What lies in a folder and is not this user's, and whose it is; null where all of it is. */
export async function foreignIn(
  folder: string,
  uid: number,
): Promise<{ readonly path: string; readonly uid: number } | null> {
  const { uid: owner } = await lstat(folder);
  if (owner !== uid) return { path: folder, uid: owner };
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const { uid: of } = await lstat(path);
    const found =
      of === uid && entry.isDirectory() ? await foreignIn(path, uid) : of === uid ? null : { path, uid: of };
    if (found) return found;
  }
  return null;
}
