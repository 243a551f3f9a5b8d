import { link, lstat, mkdir, readFile, readlink, rename, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize, sep } from 'node:path';
import { Fault, systemCode } from '#kernel/faults';
import type { Layout } from './view.ts';

/** Makes a layout on the disk. Each piece comes under a temporary name first, so that a reader finds it whole or not at all. */
export async function makeLayout(root: string, { links, files, symlinks }: Layout, blob: string): Promise<void> {
  // Links first: a manifest that is there says that the weights are.
  for (const path of links)
    await place(
      root,
      path,
      (at) => link(blob, at),
      (at) => isLinkTo(at, blob),
    );
  for (const { path, target } of symlinks) {
    await place(
      root,
      path,
      (at) => symlink(target, at),
      async (at) => (await readlink(at).catch(() => null)) === target,
    );
  }
  for (const { path, content } of files) {
    const write = (at: string) => writeFile(at, content);
    await place(root, path, write, async (at) => (await readFile(at, 'utf8').catch(() => null)) === content);
  }
}

async function place(
  root: string,
  path: string,
  make: (at: string) => Promise<void>,
  isThere: (at: string) => Promise<boolean>,
): Promise<void> {
  const at = below(root, path);
  if (await isThere(at)) return;
  await mkdir(dirname(at), { recursive: true });
  const temporary = `${at}.${process.pid}.tmp`;
  await rm(temporary, { force: true });
  try {
    await make(temporary);
    // Linux renames a link over another link of the same file by doing nothing, and leaves both.
    await rename(temporary, at);
  } catch (error) {
    if (!['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP'].includes(systemCode(error) ?? '')) throw error;
    throw new Fault('NOT_SUPPORTED', `A view cannot be made at ${root}: its file system has no hard links there.`, {
      cause: error,
    });
  } finally {
    await rm(temporary, { force: true });
  }
}

async function isLinkTo(at: string, blob: string): Promise<boolean> {
  const [here, there] = await Promise.all([lstat(at).catch(() => null), lstat(blob)]);
  return here !== null && here.dev === there.dev && here.ino === there.ino;
}

/** Takes paths away, and the folders that are empty then. */
export async function removePaths(root: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(below(root, path), { force: true });
  for (const path of paths) {
    for (
      let folder = dirname(below(root, path));
      folder !== root && folder.startsWith(root);
      folder = dirname(folder)
    ) {
      if (!(await isNowEmpty(folder))) break;
    }
  }
}

const isNowEmpty = (folder: string): Promise<boolean> =>
  rmdir(folder).then(
    () => true,
    (error: unknown) => systemCode(error) === 'ENOENT',
  );

/** A path below a root; anything that would lead out of it is a fault of the layout. */
function below(root: string, path: string): string {
  const clean = normalize(path);
  if (isAbsolute(clean) || clean === '..' || clean.startsWith(`..${sep}`)) {
    throw new Fault('INTERNAL', `The layout leads out of its view: ${path}`);
  }
  return join(root, clean);
}
