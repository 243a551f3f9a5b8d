import { createHash } from 'node:crypto';
import { access, mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '#kernel/faults';
import type { EnvironmentKind } from './types.ts';

/** Written last into a folder: without it the folder is a ruin. Plain JSON. */
export interface ReadyMarker {
  readonly version: 1;
  readonly id: string;
  readonly kind: EnvironmentKind;
  readonly packages: readonly string[];
  /** What was asked for, before an interpreter was chosen: finds the environment without asking any interpreter. */
  readonly wish: string;
  /** Other wishes that came to the same: another range for the interpreter, say. */
  readonly alike?: readonly string[];
  /** What the interpreter said of itself: `3.11.7`. */
  readonly interpreter: string;
  /** A file or folder without which the environment is a ruin, too. */
  readonly anchor: string;
  readonly builtAt: number;
}

const readyName = '.ready';

/** Where a tool at work is noted; beside the folder, because some tools empty theirs. */
export const noteOf = (path: string): string => `${path}.building`;

/** The same for equal values, whatever the order of their keys. */
export function digest(value: Readonly<Record<string, unknown>>): string {
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16);
}

export const folderName = (kind: EnvironmentKind, content: string): string => `${kind}-${content}`;
const isFolderName = (name: string): boolean => /^(node|python)-[0-9a-f]{16}$/.test(name);

/** Null for a folder that is no finished environment. */
export async function readMarker(path: string): Promise<ReadyMarker | null> {
  try {
    const marker = JSON.parse(await readFile(join(path, readyName), 'utf8')) as ReadyMarker;
    await access(marker.anchor);
    return marker.version === 1 ? marker : null;
  } catch {
    return null;
  }
}

/** Renamed into place, so that a crash can't leave half of it. */
export async function writeMarker(path: string, marker: ReadyMarker): Promise<void> {
  const temporary = join(path, `${readyName}.new`);
  const file = await open(temporary, 'w');
  try {
    await file.writeFile(JSON.stringify(marker));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(path, readyName));
}

/** So that a later platform finds it by this wish, too, without asking any interpreter. */
export async function rememberWish(path: string, marker: ReadyMarker, wish: string): Promise<ReadyMarker> {
  if (wishesOf(marker).includes(wish)) return marker;
  const more = { ...marker, alike: [...(marker.alike ?? []), wish] };
  await writeMarker(path, more);
  return more;
}

export const wishesOf = ({ wish, alike = [] }: ReadyMarker): readonly string[] => [wish, ...alike];

export async function environmentFolders(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).filter(isFolderName);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** The marker first: a removal that is cut short leaves a ruin, not something that looks ready. */
export async function removeFolder(path: string): Promise<void> {
  await rm(join(path, readyName), { force: true });
  await rm(path, { recursive: true, force: true, maxRetries: 3 });
  await rm(noteOf(path), { force: true });
}

export async function makeAnew(path: string): Promise<void> {
  await removeFolder(path);
  await mkdir(path, { recursive: true });
}
