import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { sizeOf } from './files.ts';
import { parseManifest } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { nameOf } from './names.ts';

/** A model whose file is here. */
export interface StoredModel extends Manifest {
  readonly name: string;
  /** Where its file is now. Others may map it and link to it; nobody may change it. */
  readonly path: string;
}

export interface Found {
  readonly models: Map<string, StoredModel>;
  /** Names left out because their present file is missing: their earlier ones may not be, and are kept all the same. */
  readonly fileless: Map<string, Manifest>;
  /** Names whose manifest could not be read: whose the nameless files are is not known. */
  readonly unread: Set<string>;
}

/** Reads the manifests of a folder. One that is damaged, or whose file is missing or cut, is left out with a warning. */
export async function readManifests(folder: string, blobPath: (sha256: string) => string, log: Logger): Promise<Found> {
  const models = new Map<string, StoredModel>();
  const fileless = new Map<string, Manifest>();
  const unread = new Set<string>();
  for (const file of await readdir(folder)) {
    const name = file.endsWith('.json') ? nameOf(file.slice(0, -'.json'.length)) : null;
    if (name === null) continue;
    const manifest = parseManifest(await readText(join(folder, file)));
    const path = manifest && blobPath(manifest.sha256);
    const reason = !manifest || !path ? 'its manifest is damaged' : await missing(path, manifest.bytes);
    if (manifest && path && reason === null) models.set(name, { name, ...manifest, path });
    else log.warn('model left out: pull it again', { model: name, reason, manifest: join(folder, file) });
    if (manifest && reason !== null) fileless.set(name, manifest);
    if (!manifest) unread.add(name);
  }
  return { models, fileless, unread };
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
