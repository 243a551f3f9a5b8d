import { mkdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, systemCode } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { collect } from './collect.ts';
import type { CollectOptions, Collected } from './collect.ts';
import type { Damage } from './damage.ts';
import { sizeOf } from './files.ts';
import { advanced, backAt, versionBefore } from './manifest.ts';
import type { Version } from './manifest.ts';
import { readManifests } from './manifests.ts';
import type { StoredModel } from './manifests.ts';
import { fileNameOf, isSha256 } from './names.ts';
import { matchVersion } from './reference.ts';
import { openShelf } from './shelf.ts';
import type { ModelStoreOptions, NewBlob, Shelf } from './shelf.ts';

export type { ModelStoreOptions, NewBlob } from './shelf.ts';
export type { StoredModel } from './manifests.ts';

/** A version of a name, and whether its file is still here. */
export interface StoredVersion extends Version {
  readonly path: string;
  readonly present: boolean;
  readonly here: boolean;
}

/**
 * Models by name, each file kept once under its digest: `blobs/sha256-<hex>`, one small JSON file a name in `manifests/`.
 * A name that gets another file keeps the one before, so that it can go back. One process at a time may have a store
 * open; the platform's lock on its home sees to that.
 */
export interface ModelStore {
  readonly dir: string;
  get(name: string): StoredModel | null;
  /** By name. */
  list(): readonly StoredModel[];
  /** The path of a blob that is here whole, whether a name refers to it or not. */
  blob(sha256: string): Promise<{ readonly path: string; readonly bytes: number } | null>;
  /** Moves a finished file in without a name: hold its digest until it has one. */
  admit(file: string, blob: NewBlob): Promise<{ readonly path: string }>;
  /**
   * Moves a finished file from this store's partial area in and names it: the file at `file` is gone afterwards. Naming a
   * blob that is here already is asked with its own path. A blob that is known to be damaged is replaced.
   */
  add(name: string, file: string, blob: NewBlob): Promise<StoredModel>;
  /** What the name has stood for, newest first. NOT_FOUND when there is no such name. */
  versions(name: string): Promise<readonly StoredVersion[]>;
  /**
   * Goes back to the version before, or to the one whose digest begins with `digest`, and holds the name there. CONFLICT
   * when there is none, or its file is gone.
   */
  rollback(name: string, digest?: string): Promise<StoredModel>;
  /**
   * Forgets a name, and deletes its files when no other name has them. `freed` is in bytes. NOT_FOUND when there is no
   * such name, CONFLICT while an engine uses a file.
   */
  remove(name: string): Promise<{ readonly freed: number }>;
  /** Forgets one version of a name, not its present one (CONFLICT), and deletes its file. */
  removeVersion(name: string, digest: string): Promise<{ readonly freed: number }>;
  /** Removes the files that nothing needs. */
  collect(options?: CollectOptions): Promise<Collected>;
  /** Keeps a blob, or a folder of the partial area, from being removed until the function it returns is called. */
  hold(digestOrFolder: string): () => void;
  damage(sha256: string): Damage | null;
  /** Remembers that a blob's bytes are not what its digest says; null takes that back. */
  mark(sha256: string, damage: Damage | null): Promise<void>;
  /** A folder for what is being fetched under that name, made when it is missing. Kept over a restart, for a week. */
  partial(name: string): Promise<string>;
  /** Deletes that folder, or only when it is empty. */
  dropPartial(name: string, onlyEmpty?: boolean): Promise<void>;
  /** Hears the name whose file changed or went. */
  onChange(listener: (name: string) => void): () => void;
}

/** Opens the store and clears what an earlier process left half-made. A damaged manifest is left out, with a warning. */
export async function openModelStore(options: ModelStoreOptions): Promise<ModelStore> {
  const shelf = await openShelf(options);
  const { models, damages, holds } = shelf;
  const { partial } = shelf.folders;
  return {
    dir: options.dir,
    get: (name) => models.get(name) ?? null,
    list: () => [...models.values()].sort((a, b) => a.name.localeCompare(b.name)),
    async blob(sha256) {
      const bytes = isSha256(sha256) ? await sizeOf(shelf.blobPath(sha256)) : null;
      return bytes === null ? null : { path: shelf.blobPath(sha256), bytes };
    },
    admit: (file, blob) =>
      shelf.exclusive(async () => {
        await shelf.settle(file, blob);
        return { path: shelf.blobPath(blob.sha256) };
      }),
    add: (name, file, blob) =>
      shelf.exclusive(async () => {
        if (!isSha256(blob.sha256)) throw new Fault('INTERNAL', `"${blob.sha256}" is not a SHA-256 digest.`);
        fileNameOf(name);
        await shelf.settle(file, blob);
        return shelf.put(name, advanced(models.get(name) ?? null, { ...blob, pulledAt: options.clock.wall() }));
      }),
    versions: (name) => versionsOf(name, shelf),
    rollback: (name, digest) => shelf.exclusive(() => rollback(name, digest, shelf)),
    remove: (name) => shelf.exclusive(() => remove(name, shelf)),
    removeVersion: (name, digest) => shelf.exclusive(() => removeVersion(name, digest, shelf)),
    collect: (asked = {}) =>
      shelf.exclusive(() => {
        const named = shelf.unread.size > 0 ? null : shelf.named();
        const use = { named, busy: shelf.busy, busyPartial: (folder: string) => holds.has(folder) };
        return collect(shelf.folders, use, asked);
      }),
    hold: (what) => holds.take(isSha256(what) ? what : fileNameOf(what)),
    damage: (sha256) => damages.of(sha256),
    mark: (sha256, damage) => (damage ? damages.mark(sha256, damage) : damages.clear(sha256)),
    async partial(name) {
      const folder = join(partial, fileNameOf(name));
      await mkdir(folder, { recursive: true });
      return folder;
    },
    async dropPartial(name, onlyEmpty = false) {
      const folder = join(partial, fileNameOf(name));
      if (onlyEmpty) await rmdir(folder).catch(() => undefined);
      else await rm(folder, { recursive: true, force: true });
    },
    onChange: shelf.onChange,
  };
}

async function versionsOf(name: string, { find, blobPath }: Shelf): Promise<readonly StoredVersion[]> {
  const { versions, sha256: present } = find(name);
  const here = versions.map(async (version) => (await sizeOf(blobPath(version.sha256))) === version.bytes);
  return (await Promise.all(here)).map((isHere, i) => {
    const version = versions[i] as Version;
    return { ...version, path: blobPath(version.sha256), present: version.sha256 === present, here: isHere };
  });
}

async function rollback(name: string, digest: string | undefined, shelf: Shelf): Promise<StoredModel> {
  const model = shelf.find(name);
  const version = digest === undefined ? versionBefore(model) : matchVersion(name, digest, model.versions);
  if (!version) throw new Fault('CONFLICT', `${name} has no version before the present one.`);
  const { sha256, bytes } = version;
  const damaged = shelf.damages.of(sha256) !== null;
  if (damaged || (await sizeOf(shelf.blobPath(sha256))) !== bytes) {
    throw new Fault(
      'CONFLICT',
      `The file of ${name}@sha256:${sha256.slice(0, 12)} is ${damaged ? 'damaged' : 'gone'}: ` +
        `pull it with \`sutaz models pull ${name}@sha256:${sha256}\`.`,
    );
  }
  return shelf.put(name, backAt(model, version));
}

async function remove(name: string, shelf: Shelf): Promise<{ readonly freed: number }> {
  const others = shelf.named(name);
  const alone = shelf.find(name).versions.flatMap(({ sha256 }) => (others.has(sha256) ? [] : [sha256]));
  if (alone.some(shelf.inUse)) throw new Fault('CONFLICT', `${name} is in use: stop it before removing its file.`);
  await shelf.drop(name);
  return { freed: await shelf.dropAll(alone) };
}

async function removeVersion(name: string, digest: string, shelf: Shelf): Promise<{ readonly freed: number }> {
  const model = shelf.find(name);
  const { sha256 } = matchVersion(name, digest, model.versions);
  if (sha256 === model.sha256) {
    const other = 'go to another version first (`sutaz models rollback`), or remove the name as a whole';
    throw new Fault('CONFLICT', `That is the version ${name} stands for now: ${other}.`);
  }
  if (shelf.inUse(sha256)) throw new Fault('CONFLICT', `An engine uses that version of ${name}: stop it first.`);
  await shelf.put(name, { ...model, versions: model.versions.filter((version) => version.sha256 !== sha256) });
  return { freed: await shelf.dropAll([sha256]) };
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
