import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomic } from './files.ts';
import { isSha256 } from './names.ts';

/** What a look at a blob's bytes found to be wrong with them. */
export interface Damage {
  /** For people: `its SHA-256 is ...`. */
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly foundAt: number;
}

/**
 * Which blobs are known to be broken: one small file each in `damaged/`. The blob stays where it is, since an engine may
 * have it mapped; it is only no longer given out, and the next pull of it takes its place.
 */
export interface Damages {
  of(sha256: string): Damage | null;
  mark(sha256: string, damage: Damage): Promise<void>;
  clear(sha256: string): Promise<void>;
}

export async function openDamages(folder: string): Promise<Damages> {
  await mkdir(folder, { recursive: true });
  const path = (sha256: string) => join(folder, `sha256-${sha256}.json`);
  const known = new Map<string, Damage>();
  for (const file of await readdir(folder)) {
    const sha256 = /^sha256-([0-9a-f]{64})\.json$/.exec(file)?.[1];
    if (sha256 !== undefined) known.set(sha256, parseDamage(await readFile(join(folder, file), 'utf8')));
  }
  return {
    of: (sha256) => known.get(sha256) ?? null,
    async mark(sha256, damage) {
      if (!isSha256(sha256)) return;
      known.set(sha256, damage);
      await writeAtomic(path(sha256), JSON.stringify(damage));
    },
    async clear(sha256) {
      if (!known.delete(sha256)) return;
      await rm(path(sha256), { force: true });
    },
  };
}

/** A mark that cannot be read is still a mark: the blob is looked at again before it is believed. */
function parseDamage(text: string): Damage {
  try {
    const { reason, foundAt } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (typeof reason === 'string' && typeof foundAt === 'number') return { reason, foundAt };
  } catch {
    // Falls through: what it said is lost.
  }
  return { reason: 'it was found damaged', foundAt: 0 };
}
