import { lstat, readdir, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { Fault, systemCode } from '#kernel/faults';

/** A place with more than these is not a folder of models: walking on would only take time. */
const mostEntries = 50_000;
const deepest = 8;

/** A file below a root. */
export interface Walked {
  readonly path: string;
  /** From the root on, with `/`. */
  readonly name: string;
}

/** The files and symbolic links below a folder, by name. Folders are never entered through a symbolic link. */
export async function walk(root: string): Promise<readonly Walked[]> {
  const files: Walked[] = [];
  let seen = 0;
  const enter = async (folder: string, prefix: string, depth: number): Promise<void> => {
    const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
      // A folder that this user may not read holds nothing for it.
      if (prefix !== '' && ['EACCES', 'ENOENT', 'EPERM'].includes(systemCode(error) ?? '')) return [];
      throw error;
    });
    seen += entries.length;
    if (seen > mostEntries) {
      throw new Fault('BAD_REQUEST', `${root} holds more than ${mostEntries} files: name the folder with the models.`);
    }
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const [path, name] = [join(folder, entry.name), prefix + entry.name];
      if (entry.isDirectory() && depth < deepest) await enter(path, `${name}/`, depth + 1);
      if (entry.isFile() || entry.isSymbolicLink()) files.push({ path, name });
    }
  };
  await enter(root, '', 0);
  return files;
}

/** The file that a path stands for and its size, when it is a regular one below `root`; otherwise why not. */
export async function inside(
  root: string,
  path: string,
): Promise<{ readonly path: string; readonly bytes: number } | { readonly why: string }> {
  try {
    const [real, place] = [await realpath(path), await realpath(root)];
    if (!real.startsWith(place.endsWith(sep) ? place : place + sep)) {
      return { why: `it is a symbolic link to ${real}, outside of ${root}` };
    }
    const facts = await lstat(real);
    return facts.isFile() ? { path: real, bytes: facts.size } : { why: 'it is not a file' };
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') return { why: 'its file is missing' };
    if (code === 'ELOOP') return { why: 'its symbolic links lead in a circle' };
    if (code === 'EACCES') return { why: 'it may not be read by this user' };
    throw error;
  }
}
