import { randomBytes } from 'node:crypto';
import { lstat, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { OnProgress } from '#contracts/models';
import { throwIfAborted } from '#kernel/abort';
import { Fault, toFault } from '#kernel/faults';
import type { FreeBytes } from '../files.ts';
import { temporaryPrefix } from '../leftovers.ts';
import type { FormatCheck } from '../pull.ts';
import { copyFile, linkFile } from '../sources/file.ts';
import type { Fetched, WriteChunk } from '../sources/context.ts';
import type { ModelStore, StoredModel } from '../store.ts';
import type { FoundModel, Skipped } from './scan.ts';

export interface ImportOptions {
  readonly store: ModelStore;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
  readonly free: FreeBytes;
  readonly write: WriteChunk;
  readonly check: FormatCheck;
  /** Makes a copy where no hard link can be made. */
  readonly copy: boolean;
  /** Whether a name can be had for a file, though it means something else already. */
  readonly nameable: (name: string, sha256: string) => boolean;
  /** Where it came from, for people. */
  readonly place: string;
  /** Called as soon as a file has its name, before the next one is begun. What it throws is that model's reason. */
  readonly onImported: (imported: Imported) => Promise<void>;
}

export interface Imported {
  readonly model: StoredModel;
  readonly found: FoundModel;
  /** `linked` takes no space; `copied` where it was allowed; `known` was here before. */
  readonly how: 'linked' | 'copied' | 'known';
}

/**
 * Takes found files into the store, each as a hard link to the original, which keeps its inode, mode and times. One that
 * cannot be taken is told with its reason, and the others are. Done again, it changes nothing.
 */
export async function importModels(
  found: readonly FoundModel[],
  options: ImportOptions,
): Promise<{ readonly imported: readonly Imported[]; readonly skipped: readonly Skipped[] }> {
  const imported: Imported[] = [];
  const skipped: Skipped[] = [];
  const known = await inodesOf(options.store);
  for (const model of found) {
    throwIfAborted(options.signal);
    try {
      const one = await importOne(model, known, options);
      await options.onImported(one);
      imported.push(one);
    } catch (error) {
      throwIfAborted(options.signal);
      const fault = toFault(error);
      if (fault.code === 'DISK_FULL') throw fault;
      skipped.push({ title: model.title, why: fault.message });
    }
  }
  return { imported, skipped };
}

async function importOne(
  found: FoundModel,
  known: ReadonlyMap<string, string>,
  options: ImportOptions,
): Promise<Imported> {
  const { store, place } = options;
  const before = await lstat(found.path);
  const sha256 = known.get(inodeOf(before));
  // The very file is a blob already: its digest is known, and there is nothing to read.
  if (sha256 !== undefined && store.damage(sha256) === null) {
    const blob = await store.blob(sha256);
    if (blob) return { ...(await named(found, { path: blob.path, sha256, bytes: blob.bytes }, options)), how: 'known' };
  }
  const folder = `import-${randomBytes(6).toString('hex')}`;
  const releases = [store.hold(folder)];
  try {
    const target = join(await store.partial(folder), `${temporaryPrefix}file`);
    const { how, ...file } = await taken(found, target, inodeOf(before), options);
    if (found.claimed !== null && file.sha256 !== found.claimed) {
      const problem = `its name says ${found.claimed.slice(0, 12)} and its bytes are ${file.sha256.slice(0, 12)}`;
      throw new Fault('BAD_REQUEST', `it is damaged: ${problem}, in ${place}`);
    }
    await options.check(target, found.title);
    releases.push(store.hold(file.sha256));
    return { ...(await named(found, file, options)), how };
  } finally {
    await store.dropPartial(folder);
    for (const release of releases) release();
  }
}

async function taken(
  { path, bytes, title }: FoundModel,
  target: string,
  inode: string,
  { signal, onProgress, free, write, copy }: ImportOptions,
): Promise<Fetched & { readonly how: 'linked' | 'copied' }> {
  const work = { signal, onProgress, free, write };
  const linked = await linkFile(path, target, bytes, title, work);
  if (linked) {
    // It was looked at before; what was put in its place meanwhile, a symbolic link perhaps, was not.
    if (inodeOf(await lstat(target)) === inode) return { ...linked, how: 'linked' };
    await rm(target, { force: true });
    throw new Fault('CONFLICT', 'it changed while it was imported: ask again');
  }
  if (copy) return { ...(await copyFile(path, target, bytes, title, work)), how: 'copied' };
  throw new Fault(
    'CONFLICT',
    'a hard link to it cannot be made: it is on another file system than the store, or another user’s. ' +
      'Ask with --copy for a copy, or move the home (SUTAZ_HOME) there',
  );
}

/** Gives the file the first name that is free for it: the found one, else with `-imported` at its end. */
async function named(
  found: FoundModel,
  { path, sha256, bytes }: Fetched,
  { store, nameable, place }: ImportOptions,
): Promise<{ readonly model: StoredModel; readonly found: FoundModel }> {
  for (const name of candidates(found.id)) {
    const here = store.get(name);
    if (here?.sha256 === sha256 && store.damage(sha256) === null) return { model: here, found };
    if (here || !nameable(name, sha256)) continue;
    return { model: await store.add(name, path, { sha256, bytes, source: `${place} ${found.title}` }), found };
  }
  throw new Fault('CONFLICT', `every name like ${found.id} means another model: give it one with --name`);
}

/** `a:b`, `a:b-imported`, `a:b-imported-2` and a few more. */
const candidates = (id: string): readonly string[] => [
  id,
  `${id}-imported`,
  ...Array.from({ length: 8 }, (_, i) => `${id}-imported-${i + 2}`),
];

const inodeOf = ({ dev, ino }: { readonly dev: number; readonly ino: number }): string => `${dev}:${ino}`;

/** Digests of the blobs by the inode of their files. */
async function inodesOf({ dir }: ModelStore): Promise<ReadonlyMap<string, string>> {
  const inodes = new Map<string, string>();
  for (const file of await readdir(join(dir, 'blobs'))) {
    const sha256 = /^sha256-([0-9a-f]{64})$/.exec(file)?.[1];
    const facts = sha256 === undefined ? null : await stat(join(dir, 'blobs', file)).catch(() => null);
    if (sha256 !== undefined && facts) inodes.set(inodeOf(facts), sha256);
  }
  return inodes;
}
