import { chmod, chown, lstat, mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Makes a folder that is this user's alone. */
export async function makeFor(folder: string, uid: number): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chown(folder, uid, uid);
}

/**
 * Lets a group pass through the home, which nobody else may enter, on the way to what it can read there; what lies in the
 * home itself (its configuration, its state) stays the platform's alone.
 */
export async function openWay(home: string, group: number): Promise<void> {
  const { mode, gid, uid } = await stat(home);
  // Open to all by its owner's own choice otherwise.
  if ((mode & 0o001) === 0) {
    if (gid !== group) await chown(home, uid, group);
    await chmod(home, (mode & 0o700) | 0o010);
  }
  for (const entry of await readdir(home, { withFileTypes: true })) {
    if (entry.isFile()) await close(join(home, entry.name));
  }
}

/** Files come and go meanwhile: SQLite's beside the state. */
async function close(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found?.isFile() && (found.mode & 0o077) !== 0) await chmod(path, found.mode & 0o700).catch(() => undefined);
}
