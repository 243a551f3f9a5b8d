import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, open, realpath, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, isAbsolute, join } from 'node:path';
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
  try {
    return (await linked(original, path, size, context)) ?? (await copied(original, path, size, context));
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

async function linked(original: string, path: string, size: number, context: SourceContext): Promise<Fetched | null> {
  try {
    await link(original, path);
  } catch (error) {
    if (noLink.has(systemCode(error) ?? '')) return null;
    throw error;
  }
  let done = 0;
  const report = (bytes: number) => {
    done += bytes;
    context.onProgress({ phase: 'verifying', what: basename(original), done, total: size, unit: 'bytes' });
  };
  return { path, ...(await hashFile(path, context.signal, report)) };
}

async function copied(original: string, path: string, size: number, context: SourceContext): Promise<Fetched> {
  await ensureSpace(context.folder, size, basename(original), context.free);
  const hash = createHash('sha256');
  const handle = await open(path, 'wx');
  let done = 0;
  try {
    for await (const chunk of createReadStream(original, { highWaterMark: 2 ** 20, signal: context.signal })) {
      hash.update(chunk as Buffer);
      await context.write(handle, chunk as Buffer, done);
      done += (chunk as Buffer).length;
      context.onProgress({ phase: 'assembling', what: basename(original), done, total: size, unit: 'bytes' });
    }
    return { path, sha256: hash.digest('hex'), bytes: done };
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    throw diskFull(context.folder, size - done, await context.free(context.folder), basename(original), error);
  } finally {
    await handle.close();
  }
}
