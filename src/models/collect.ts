import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryPrefix } from './leftovers.ts';
import type { Folders } from './leftovers.ts';

/** A file that nothing needs, or one that would go but for its reason. */
export interface Garbage {
  readonly path: string;
  readonly bytes: number;
  /** Bytes that its going gives back: none while another link to the same file is left, as in an Ollama store. */
  readonly frees: number;
  readonly why: string;
}

export interface Collected {
  readonly removed: readonly Garbage[];
  readonly kept: readonly Garbage[];
  readonly freed: number;
}

export interface CollectOptions {
  /** Only tells what would go. */
  readonly dryRun?: boolean;
  /** Also what cut downloads left, which a pull could go on from. */
  readonly downloads?: boolean;
}

/** What the store knows of its files at this moment. */
export interface InUse {
  /** Digests that some name keeps; null when a manifest cannot be read and so nobody knows. */
  readonly named: ReadonlySet<string> | null;
  /** Why a digest may not go now: an engine has it open, a pull or a check works on it. Null when it may. */
  busy(sha256: string): string | null;
  /** The same for a folder of the partial area. */
  busyPartial(folder: string): boolean;
}

/** Removes what nothing needs. Nothing may add to the store meanwhile. */
export async function collect(folders: Folders, use: InUse, options: CollectOptions): Promise<Collected> {
  const removed: Garbage[] = [];
  const kept: Garbage[] = [];
  const judge = (garbage: Garbage, busy: string | null) =>
    busy === null ? removed.push(garbage) : kept.push({ ...garbage, why: busy });
  for (const blob of await readdir(folders.blobs)) {
    const sha256 = /^sha256-([0-9a-f]{64})$/.exec(blob)?.[1];
    if (sha256 === undefined || use.named?.has(sha256)) continue;
    const garbage = await weigh(join(folders.blobs, blob), 'no name has it');
    const unsure = use.named === null ? 'a manifest is damaged: it may be the file of that name' : null;
    if (garbage) judge(garbage, unsure ?? use.busy(sha256));
  }
  for (const folder of await readdir(folders.partial)) {
    for (const entry of await readdir(join(folders.partial, folder)).catch(() => [])) {
      const temporary = entry.startsWith(temporaryPrefix);
      const why = temporary ? 'half-made' : 'a cut download';
      const garbage = await weigh(join(folders.partial, folder, entry), why);
      const wanted = temporary || options.downloads ? null : 'a pull can go on from it (--downloads removes it)';
      if (garbage) judge(garbage, use.busyPartial(folder) ? 'it is being pulled' : wanted);
    }
  }
  if (!options.dryRun) for (const { path } of removed) await rm(path, { recursive: true, force: true });
  return { removed, kept, freed: removed.reduce((sum, { frees }) => sum + frees, 0) };
}

async function weigh(path: string, why: string): Promise<Garbage | null> {
  const facts = await stat(path).catch(() => null);
  if (!facts) return null;
  const { size: bytes } = facts;
  return { path, bytes, frees: facts.isFile() && facts.nlink > 1 ? 0 : bytes, why };
}
