import { cp, lstat, mkdir, realpath, stat } from 'node:fs/promises';
import { constants } from 'node:fs';
import { isAbsolute, relative, resolve } from 'node:path';
import { throwIfAborted } from '#kernel/abort';
import { Fault, systemCode } from '#kernel/faults';
import type { ApiJob } from '#contracts/jobs-api';

export interface FolderAsk {
  /** As it was named; null for an empty one of its own. */
  readonly named: string | null;
  /** What a relative name is relative to; null for nothing. */
  readonly cwd: string | null;
  readonly copy: boolean;
}

/** A folder that a run is to work in, looked at and not yet made. */
export interface FolderPlan {
  readonly kind: ApiJob['folder']['kind'];
  /** Where it works. */
  readonly path: string;
  /** What is copied there. */
  readonly from?: string;
}

/**
 * Where a run is to work: in the folder that was named, in a copy of it, or in an empty one. `own` is the path of what is made
 * for it. Throws BAD_REQUEST that says what is wrong with the name; the platform's home is nobody's to work in.
 */
export async function planFolder(ask: FolderAsk, own: string, home: string): Promise<FolderPlan> {
  const { named, cwd, copy } = ask;
  if (named === null) {
    if (copy) throw bad('copy needs the folder that is to be copied.');
    return { kind: 'own', path: own };
  }
  const path = await existing(named, cwd);
  const platform = await realpath(home);
  if (isWithin(path, platform)) throw bad(`${path} is in the platform's own home: name another folder.`);
  if (isWithin(platform, path))
    throw bad(`${path} has the platform's own home in it, keys and all: name a folder that has not.`);
  if (!copy) return { kind: 'place', path };
  return { kind: 'copy', path: own, from: path };
}

async function existing(named: string, cwd: string | null): Promise<string> {
  if (!isAbsolute(named) && (cwd === null || !isAbsolute(cwd)))
    throw bad(`${named} is relative: give an absolute path, or cwd beside it.`);
  const path = resolve(cwd ?? '/', named);
  try {
    if ((await stat(path)).isDirectory()) return await realpath(path);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    throw bad(`The folder ${path} is not there, or may not be read (${systemCode(error)}).`);
  }
  throw bad(`${path} is not a folder.`);
}

const bad = (message: string): Fault => new Fault('BAD_REQUEST', message, { param: 'folder' });

function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === '' || (!isAbsolute(way) && way !== '..' && !way.startsWith('../'));
}

/** Makes the folder, unless it is somebody's. What is neither a file nor a folder nor a link (a socket, a pipe) is left out of a copy. */
export async function makeFolder({ path, from }: FolderPlan, signal: AbortSignal): Promise<void> {
  if (from === undefined) return void (await mkdir(path, { recursive: true, mode: 0o700 }));
  await cp(from, path, {
    recursive: true,
    verbatimSymlinks: true,
    preserveTimestamps: true,
    // Where the file system can, copies share their bytes until one of them is written.
    mode: constants.COPYFILE_FICLONE,
    async filter(source) {
      throwIfAborted(signal);
      const facts = await lstat(source);
      return facts.isFile() || facts.isDirectory() || facts.isSymbolicLink();
    },
  });
}
