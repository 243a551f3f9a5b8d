import { chown, lchown, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Gives a folder with all that is in it to a user, itself last: cut short, it is done again. Links are not followed, and
 * files that are linked elsewhere too stay whose they are: they are shared, and not the folder's alone.
 */
export async function giveTo(folder: string, uid: number, gid = uid): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await giveTo(path, uid, gid);
    else if ((await lstat(path)).nlink === 1) await lchown(path, uid, gid);
  }
  await chown(folder, uid, gid);
}

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
