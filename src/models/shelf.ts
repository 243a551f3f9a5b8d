import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { didYouMean } from '#kernel/nearest';
import { openDamages } from './damage.ts';
import type { Damages } from './damage.ts';
import { sizeOf, syncToDisk, writeAtomic } from './files.ts';
import type { Sync } from './files.ts';
import { createHolds } from './holds.ts';
import type { Holds } from './holds.ts';
import { dropHalfWritten, sweep } from './leftovers.ts';
import type { Folders } from './leftovers.ts';
import { keptDigests } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { readManifests } from './manifests.ts';
import type { StoredModel } from './manifests.ts';
import { fileNameOf } from './names.ts';

/** What is known of a file when it is put into the store. */
export interface NewBlob {
  /** Computed from the file's bytes by whoever made it: the store does not read it again. */
  readonly sha256: string;
  readonly bytes: number;
  /** Where it came from, for people. Never a secret. */
  readonly source: string;
}

export interface ModelStoreOptions {
  readonly dir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** True while an engine has the file open. Nothing is in use when left out. */
  readonly inUse?: (sha256: string) => boolean;
  /** How many versions of a name keep their file, the present one among them. 2 when left out. */
  readonly keep?: () => number;
  /** A seam for tests, which need not wait for the disk. */
  readonly sync?: Sync;
}

/** The state behind a store, with its few changes. `put`, `drop`, `dropAll` and `settle` are for the one writer alone. */
export interface Shelf {
  readonly folders: Folders;
  readonly models: ReadonlyMap<string, StoredModel>;
  readonly damages: Damages;
  readonly holds: Holds;
  /** Names whose manifest could not be read: while there are any, whose the nameless files are is not known. */
  readonly unread: ReadonlySet<string>;
  blobPath(sha256: string): string;
  /** NOT_FOUND with the nearest names. */
  find(name: string): StoredModel;
  inUse(sha256: string): boolean;
  /** Digests that names keep, those of one name left out. */
  named(without?: string): ReadonlySet<string>;
  /** Why a blob may not go now, whoever has forgotten its name; null when it may. */
  busy(sha256: string): string | null;
  /** One writer: a removal that saw no other name must not delete a file that an addition is just naming. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
  /** Writes a name's manifest, and drops the files that are no longer kept by it. */
  put(name: string, manifest: Manifest): Promise<StoredModel>;
  /** Forgets a name; its files stay. */
  drop(name: string): Promise<void>;
  /**
   * Bytes given back. What is in use stays without a name, and all do while a manifest is unread, since one of them may be
   * the file of that; `collect` or the next opening finds them.
   */
  dropAll(digests: readonly string[]): Promise<number>;
  /** Moves a file to its blob's place, unless a whole one is there already. */
  settle(file: string, blob: NewBlob): Promise<void>;
  onChange(listener: (name: string) => void): () => void;
}

export async function openShelf(options: ModelStoreOptions): Promise<Shelf> {
  const { dir, clock, log, inUse = () => false, keep = () => 2, sync = syncToDisk } = options;
  const folders = { blobs: join(dir, 'blobs'), manifests: join(dir, 'manifests'), partial: join(dir, 'partial') };
  for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true });
  const blobPath = (sha256: string) => join(folders.blobs, `sha256-${sha256}`);
  const { models, fileless, unread } = await readManifests(folders.manifests, blobPath, log);
  const damaged = join(dir, 'damaged');
  await dropHalfWritten(damaged, clock.wall(), log);
  const damages = await openDamages(damaged);
  const holds = createHolds();
  const listeners = new Set<(name: string) => void>();
  const named = (without?: string) => {
    const others = [...models, ...fileless].filter(([name]) => name !== without);
    return new Set(others.flatMap(([, manifest]) => keptDigests(manifest, keep())));
  };
  // A file whose manifest can not be read looks nameless: none is swept then, since one of them is somebody's model.
  await sweep(folders, unread.size > 0 ? null : named(), clock.wall(), log);

  const busy = (sha256: string) => {
    if (inUse(sha256)) return 'an engine has it open';
    return holds.has(sha256) ? 'it is being worked on' : null;
  };
  const files = { folders, blobPath, damages, unread, named, busy, sync };
  const dropAll = (digests: readonly string[]) => dropUnkept(digests, files);
  const manifestPath = (name: string) => join(folders.manifests, `${fileNameOf(name)}.json`);
  /** What the name was when the store was opened is over. */
  const settled = (name: string) => {
    fileless.delete(name);
    unread.delete(name);
  };
  const tell = (name: string) => {
    for (const listener of [...listeners]) listener(name);
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    ...{ folders, models, damages, holds, unread, blobPath, inUse, named, busy, dropAll },
    find(name) {
      const model = models.get(name);
      if (model) return model;
      throw new Fault('NOT_FOUND', `The model ${name} is not in the store.${didYouMean(name, models.keys())}`);
    },
    exclusive(work) {
      const result = last.then(work);
      last = result.catch(() => undefined);
      return result;
    },
    async put(name, { sha256, bytes, source, pulledAt, versions, held }) {
      const manifest = { sha256, bytes, source, pulledAt, held, versions };
      await writeAtomic(manifestPath(name), `${JSON.stringify({ name, ...manifest }, null, 2)}\n`, sync);
      await sync(folders.manifests);
      const model = { name, ...manifest, path: blobPath(sha256) };
      models.set(name, model);
      settled(name);
      await dropAll(versions.map((version) => version.sha256));
      tell(name);
      return model;
    },
    async drop(name) {
      await rm(manifestPath(name), { force: true });
      models.delete(name);
      settled(name);
      tell(name);
    },
    settle: (file, blob) => settle(file, blob, files),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

type Files = Pick<Shelf, 'folders' | 'blobPath' | 'damages' | 'unread' | 'named' | 'busy'> & { readonly sync: Sync };

async function dropUnkept(
  digests: readonly string[],
  { unread, named, busy, blobPath, damages }: Files,
): Promise<number> {
  if (unread.size > 0) return 0;
  let freed = 0;
  const kept = named();
  for (const sha256 of digests) {
    const facts = kept.has(sha256) || busy(sha256) ? null : await stat(blobPath(sha256)).catch(() => null);
    if (!facts) continue;
    await rm(blobPath(sha256), { force: true });
    await damages.clear(sha256);
    // Another link keeps the bytes: the original of an imported file.
    freed += facts.nlink > 1 ? 0 : facts.size;
  }
  return freed;
}

async function settle(file: string, { sha256, bytes }: NewBlob, { blobPath, damages, folders, sync }: Files) {
  const path = blobPath(sha256);
  if (file === path && (await sizeOf(path)) !== bytes) {
    throw new Fault('INTERNAL', `The file ${path} went while it was being named.`);
  }
  if (file !== path) {
    // An engine may have the present blob mapped: replacing it by its equal would keep both on the disk.
    if ((await sizeOf(path)) === bytes && !damages.of(sha256)) return rm(file, { force: true });
    await sync(file);
    await rename(file, path);
    await sync(folders.blobs);
  }
  await damages.clear(sha256);
}
