import { mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#kernel/clock';
import { Fault, systemCode } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { didYouMean } from '#kernel/nearest';
import { sizeOf, syncToDisk, writeAtomic } from './files.ts';
import type { Sync } from './files.ts';
import { sweep } from './leftovers.ts';
import { parseManifest } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { fileNameOf, isSha256, nameOf } from './names.ts';

/** A model whose file is here. */
export interface StoredModel extends Manifest {
  readonly name: string;
  /** Where its file is now. Others may map it and link to it; nobody may change it. */
  readonly path: string;
}

/** What is known of a file when it is put into the store. */
export interface NewBlob {
  /** Computed from the file's bytes by whoever made it: the store does not read it again. */
  readonly sha256: string;
  readonly bytes: number;
  /** Where it came from, for people. Never a secret. */
  readonly source: string;
}

/**
 * Models by name, each file kept once under its digest: `blobs/sha256-<hex>`, one small JSON file a name in `manifests/`.
 * One process at a time may have a store open; the platform's lock on its home sees to that.
 */
export interface ModelStore {
  readonly dir: string;
  get(name: string): StoredModel | null;
  /** By name. */
  list(): readonly StoredModel[];
  /** The path of a blob that is here whole, whether a name refers to it or not. */
  blob(sha256: string): Promise<{ readonly path: string; readonly bytes: number } | null>;
  /**
   * Moves a finished file from this store's partial area in and names it: the file at `file` is gone afterwards. Naming a
   * blob that is here already is asked with its own path.
   */
  add(name: string, file: string, blob: NewBlob): Promise<StoredModel>;
  /**
   * Forgets a name, and deletes its file when no other name has it. `freed` is in bytes. NOT_FOUND when there is no such
   * name, CONFLICT while an engine uses the file.
   */
  remove(name: string): Promise<{ readonly freed: number }>;
  /** A name's own folder for what is being fetched, made when it is missing. Kept over a restart, for a week. */
  partial(name: string): Promise<string>;
  /** Deletes that folder. */
  dropPartial(name: string): Promise<void>;
}

export interface ModelStoreOptions {
  readonly dir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** True while an engine has the file open. Nothing is in use when left out. */
  readonly inUse?: (sha256: string) => boolean;
  /** A seam for tests, which need not wait for the disk. */
  readonly sync?: Sync;
}

/** Opens the store and clears what an earlier process left half-made. A damaged manifest is left out, with a warning. */
export async function openModelStore({
  dir,
  clock,
  log,
  inUse = () => false,
  sync = syncToDisk,
}: ModelStoreOptions): Promise<ModelStore> {
  const folders = { blobs: join(dir, 'blobs'), manifests: join(dir, 'manifests'), partial: join(dir, 'partial') };
  for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true });
  const blobPath = (sha256: string) => join(folders.blobs, `sha256-${sha256}`);
  const manifestPath = (name: string) => join(folders.manifests, `${fileNameOf(name)}.json`);
  const { models, damaged } = await readManifests(folders.manifests, blobPath, log);
  // A file whose manifest can not be read looks nameless: none is swept then, since one of them is somebody's model.
  const named = damaged ? null : new Set([...models.values()].map(({ sha256 }) => sha256));
  await sweep(folders, named, clock.wall(), log);

  // One writer: a removal that saw no other name must not delete a file that an addition is just naming.
  let last: Promise<unknown> = Promise.resolve();
  const exclusive = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };

  const find = (name: string): StoredModel => {
    const model = models.get(name);
    if (model) return model;
    throw new Fault('NOT_FOUND', `The model ${name} is not in the store.${didYouMean(name, models.keys())}`);
  };

  return {
    dir,
    get: (name) => models.get(name) ?? null,
    list: () => [...models.values()].sort((a, b) => a.name.localeCompare(b.name)),
    async blob(sha256) {
      const bytes = isSha256(sha256) ? await sizeOf(blobPath(sha256)) : null;
      return bytes === null ? null : { path: blobPath(sha256), bytes };
    },
    add: (name, file, blob) =>
      exclusive(async () => {
        if (!isSha256(blob.sha256)) throw new Fault('INTERNAL', `"${blob.sha256}" is not a SHA-256 digest.`);
        const path = blobPath(blob.sha256);
        const target = manifestPath(name);
        const before = models.get(name);
        await settle(file, path, blob.bytes);
        const { sha256, bytes, source } = blob;
        const manifest: Manifest = { sha256, bytes, source, pulledAt: clock.wall() };
        await writeAtomic(target, `${JSON.stringify({ name, ...manifest }, null, 2)}\n`, sync);
        await sync(folders.manifests);
        const model = { name, ...manifest, path };
        models.set(name, model);
        if (before && before.sha256 !== blob.sha256) await dropIfUnused(before.sha256);
        return model;
      }),
    remove: (name) =>
      exclusive(async () => {
        const model = find(name);
        const shared = [...models.values()].some((other) => other.name !== name && other.sha256 === model.sha256);
        if (!shared && inUse(model.sha256)) {
          throw new Fault('CONFLICT', `${name} is in use: stop it before removing its file.`);
        }
        await rm(manifestPath(name), { force: true });
        models.delete(name);
        return { freed: (await dropIfUnused(model.sha256)) ? model.bytes : 0 };
      }),
    async partial(name) {
      const folder = join(folders.partial, fileNameOf(name));
      await mkdir(folder, { recursive: true });
      return folder;
    },
    dropPartial: (name) => rm(join(folders.partial, fileNameOf(name)), { recursive: true, force: true }),
  };

  /** True when the file is gone. One still in use stays without a name; the next opening sweeps it once it is old. */
  async function dropIfUnused(sha256: string): Promise<boolean> {
    if ([...models.values()].some((model) => model.sha256 === sha256) || inUse(sha256)) return false;
    await rm(blobPath(sha256), { force: true });
    return true;
  }

  /** Moves a file to its blob's place, unless a whole one is there already. */
  async function settle(file: string, path: string, bytes: number): Promise<void> {
    if (file === path) return;
    // An engine may have the present blob mapped: replacing it by its equal would keep both on the disk.
    if ((await sizeOf(path)) === bytes) return rm(file, { force: true });
    await sync(file);
    await rename(file, path);
    await sync(folders.blobs);
  }
}

/**
 * The models of a store by name, as they are on the disk: a look that changes nothing, whoever has the store open.
 * Nothing where there is none. `dir` is the store's folder.
 */
export async function readModels(dir: string, log: Logger): Promise<ReadonlyMap<string, StoredModel>> {
  const manifests = join(dir, 'manifests');
  try {
    return (await readManifests(manifests, (sha256) => join(dir, 'blobs', `sha256-${sha256}`), log)).models;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return new Map();
    throw error;
  }
}

async function readManifests(folder: string, blobPath: (sha256: string) => string, log: Logger): Promise<Found> {
  const models = new Map<string, StoredModel>();
  let damaged = false;
  for (const file of await readdir(folder)) {
    const name = file.endsWith('.json') ? nameOf(file.slice(0, -'.json'.length)) : null;
    if (name === null) continue;
    const manifest = parseManifest(await readText(join(folder, file)));
    const path = manifest && blobPath(manifest.sha256);
    const reason = !manifest || !path ? 'its manifest is damaged' : await missing(path, manifest.bytes);
    if (manifest && path && reason === null) models.set(name, { name, ...manifest, path });
    else log.warn('model left out: pull it again', { model: name, reason, manifest: join(folder, file) });
    damaged ||= manifest === null;
  }
  return { models, damaged };
}

interface Found {
  readonly models: Map<string, StoredModel>;
  readonly damaged: boolean;
}

async function missing(path: string, bytes: number): Promise<string | null> {
  const size = await sizeOf(path);
  if (size === null) return 'its file is missing';
  return size === bytes ? null : `its file has ${size} bytes instead of ${bytes}`;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    // Unreadable for this user, or gone since it was listed: as good as damaged, and one model must not keep all from starting.
    if (systemCode(error) !== undefined) return '';
    throw error;
  }
}
