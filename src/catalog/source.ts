import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#kernel/clock';
import { watchFolders } from '#config/watch';
import { systemCode } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { buildCatalog } from './snapshot.ts';
import type { Catalog, DefinitionFile, Origin } from './snapshot.ts';

export interface CatalogFolder {
  /** Holds `services/*.yaml` and `models/*.yaml`. It need not exist. */
  readonly path: string;
  readonly origin: Origin;
}

/** Reads every definition of the folders, in no particular order. A folder that is not there is empty. */
export async function readFolders(folders: readonly CatalogFolder[]): Promise<DefinitionFile[]> {
  const lists = await Promise.all(
    folders.flatMap(({ path, origin }) => [
      readKind(join(path, 'services'), origin, 'service'),
      readKind(join(path, 'models'), origin, 'model'),
    ]),
  );
  return lists.flat();
}

async function readKind(folder: string, origin: Origin, kind: 'service' | 'model'): Promise<DefinitionFile[]> {
  const names = await entries(folder);
  const files = await Promise.all(
    names
      .filter((name) => /\.ya?ml$/.test(name) && !name.startsWith('.'))
      .map(async (name) => {
        const path = join(folder, name);
        const read = await readDefinition(path);
        return read === null ? [] : [{ kind, path, origin, ...read }];
      }),
  );
  return files.flat();
}

/** A file may go between the listing and the reading: then it simply is not part of the catalogue. */
const gone = (error: unknown): null => {
  if (['ENOENT', 'EISDIR', 'ENOTDIR'].includes(systemCode(error) ?? '')) return null;
  throw error;
};

/** One file that may not be read is its own problem, and none of the others'. */
async function readDefinition(path: string): Promise<Pick<DefinitionFile, 'text' | 'unreadable'> | null> {
  try {
    const text = await readFile(path, 'utf8').catch(gone);
    return text === null ? null : { text };
  } catch (error) {
    return { text: '', unreadable: systemCode(error) ?? String(error) };
  }
}

const entries = async (folder: string): Promise<string[]> => (await readdir(folder).catch(gone)) ?? [];

export interface CatalogSource {
  current(): Catalog;
  /** Reads the folders again now; tells whether anything changed. Resolves when listeners were told. */
  refresh(): Promise<boolean>;
  onChange(listener: (catalog: Catalog) => void): () => void;
  close(): void;
}

export interface CatalogSourceOptions {
  readonly folders: readonly CatalogFolder[];
  readonly clock: Clock;
  readonly log: Logger;
  /** Milliseconds to let a burst of writes settle before reading. */
  readonly settleMs?: number;
  /** Milliseconds between looks, for file systems that tell of no changes. */
  readonly pollMs?: number;
}

/**
 * The one funnel every definition comes through: it reads whole snapshots, drops the unchanged, and swaps the new one in
 * at once. A read that fails leaves what was there.
 */
export async function openCatalog(options: CatalogSourceOptions): Promise<CatalogSource> {
  const { folders, log } = options;
  const listeners = new Set<(catalog: Catalog) => void>();
  let files = await readFolders(folders);
  let catalog = buildCatalog(files);

  const read = async (): Promise<boolean> => {
    const next = await readFolders(folders);
    if (fingerprint(next) === fingerprint(files)) return false;
    files = next;
    catalog = buildCatalog(next);
    for (const listener of [...listeners]) {
      try {
        listener(catalog);
      } catch (error) {
        log.error('a listener of the catalogue failed', { error: String(error) });
      }
    }
    return true;
  };
  const own = folders.filter(({ origin }) => origin === 'user').map(({ path }) => path);
  const watched = watchFolders({
    ...options,
    what: 'the catalogue',
    folders: own.flatMap((path) => [join(path, 'services'), join(path, 'models')]),
    read,
  });
  return {
    current: () => catalog,
    refresh: watched.refresh,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: watched.close,
  };
}

const fingerprint = (files: readonly DefinitionFile[]): string =>
  files
    .map(({ kind, path, text, unreadable }) => JSON.stringify([kind, path, text, unreadable]))
    .sort()
    .join('\n');
