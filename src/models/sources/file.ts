import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, open, realpath, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import type { ModelSource } from '#contracts/models';
import { throwIfAborted } from '#kernel/abort';
import { Fault, systemCode } from '#kernel/faults';
import { diskFull, ensureSpace, hashFile, isDiskFull } from '../files.ts';
import { temporaryPrefix } from '../leftovers.ts';
import type { Fetched, FetchSource, SourceContext } from './context.ts';

/** What a file system that can not link says: another device, no links at all, or a file of somebody else's. */
const noLink = new Set(['EXDEV', 'EPERM', 'EACCES', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/**
 * A file on this machine. It is linked where the file system can, so that it takes no space twice, and copied where it
 * can not; the original stays as it is. A linked file must not be changed in place afterwards: replace it instead.
 */
export const fetchFile: FetchSource<Extract<ModelSource, { kind: 'file' }>> = async (source, context) => {
  // Linked is what a symbolic link stands for, never the symbolic link itself.
  const original = await locate(source.path);
  const { size } = await stat(original);
  const path = join(context.folder, `${temporaryPrefix}${randomBytes(6).toString('hex')}`);
  const what = basename(original);
  try {
    const linked = await linkFile(original, path, size, what, context);
    return linked ?? (await copyFile(original, path, size, what, context));
  } catch (error) {
    await rm(path, { force: true });
    throwIfAborted(context.signal);
    throw error;
  }
};

async function locate(written: string): Promise<string> {
  const path = written.startsWith('~/') ? join(homedir(), written.slice(2)) : written;
  if (!isAbsolute(path)) throw new Fault('BAD_REQUEST', `"${written}" must be an absolute path, or begin with ~/.`);
  try {
    const original = await realpath(path);
    if ((await stat(original)).isFile()) return original;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EACCES') throw new Fault('FORBIDDEN', `${path} may not be read by this user.`, { cause: error });
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new Fault('NOT_FOUND', `There is no file ${path}.`, { cause: error });
    throw error;
  }
  throw new Fault('NOT_FOUND', `${path} is not a file.`);
}

type FileWork = Pick<SourceContext, 'signal' | 'onProgress' | 'free' | 'write'>;

/** Makes `path` another link to the original and reads it for its digest; null where no link can be made. */
export async function linkFile(
  original: string,
  path: string,
  size: number,
  what: string,
  { signal, onProgress }: FileWork,
): Promise<Fetched | null> {
  try {
    await link(original, path);
  } catch (error) {
    if (noLink.has(systemCode(error) ?? '')) return null;
    throw error;
  }
  let done = 0;
  const report = (bytes: number) => {
    done += bytes;
    onProgress({ phase: 'verifying', what, done, total: size, unit: 'bytes' });
  };
  return { path, ...(await hashFile(path, signal, report)) };
}

/** Copies the original to `path`. Throws DISK_FULL, before or while. */
export async function copyFile(
  original: string,
  path: string,
  size: number,
  what: string,
  { signal, onProgress, free, write }: FileWork,
): Promise<Fetched> {
  const folder = dirname(path);
  await ensureSpace(folder, size, what, free);
  const hash = createHash('sha256');
  const handle = await open(path, 'wx');
  let done = 0;
  try {
    for await (const chunk of createReadStream(original, { highWaterMark: 2 ** 20, signal })) {
      hash.update(chunk as Buffer);
      await write(handle, chunk as Buffer, done);
      done += (chunk as Buffer).length;
      onProgress({ phase: 'assembling', what, done, total: size, unit: 'bytes' });
    }
    return { path, sha256: hash.digest('hex'), bytes: done };
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    throw diskFull(folder, size - done, await free(folder), what, error);
  } finally {
    await handle.close();
  }
}
