import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cancel, Clock } from '#kernel/clock';
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
        const text = await readFile(path, 'utf8').catch(gone);
        return text === null ? [] : [{ kind, path, origin, text }];
      }),
  );
  return files.flat();
}

/** A file may go between the listing and the reading: then it simply is not part of the catalogue. */
const gone = (error: unknown): null => {
  if (systemCode(error) === 'ENOENT' || systemCode(error) === 'EISDIR') return null;
  throw error;
};

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
  const { folders, clock, log, settleMs = 150, pollMs = 5_000 } = options;
  const listeners = new Set<(catalog: Catalog) => void>();
  const watchers = new Map<string, FSWatcher>();
  let files = await readFolders(folders);
  let catalog = buildCatalog(files);
  let cancel: Cancel = () => undefined;
  let closed = false;
  let reading: Promise<boolean> = Promise.resolve(false);

  const read = async (): Promise<boolean> => {
    const next = await readFolders(folders);
    watchAll();
    if (closed || fingerprint(next) === fingerprint(files)) return false;
    files = next;
    catalog = buildCatalog(next);
    for (const listener of listeners) listener(catalog);
    return true;
  };
  // One after the other, so that an older read never overtakes a newer one.
  const refresh = () => (reading = reading.catch(() => false).then(read));
  const schedule = (ms: number) => {
    cancel();
    if (closed) return;
    cancel = clock.after(ms, () => {
      refresh()
        .catch((error: unknown) => log.warn('the catalogue could not be read again', { error: String(error) }))
        .finally(() => schedule(pollMs));
    });
  };
  const watchAll = () => {
    for (const { path, origin } of folders) {
      if (origin === 'user') for (const folder of ['services', 'models']) watchFolder(join(path, folder));
    }
  };
  const watchFolder = (folder: string) => {
    if (closed || watchers.has(folder)) return;
    try {
      const watcher = watch(folder, { persistent: false }, () => schedule(settleMs));
      const drop = () => watchers.delete(folder);
      watcher.on('error', drop).on('close', drop);
      watchers.set(folder, watcher);
    } catch {
      // Not there yet: the poll finds it when it comes.
    }
  };
  watchAll();
  schedule(pollMs);

  return {
    current: () => catalog,
    refresh,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      closed = true;
      cancel();
      for (const watcher of [...watchers.values()]) watcher.close();
    },
  };
}

const fingerprint = (files: readonly DefinitionFile[]): string =>
  files
    .map(({ kind, path, text }) => JSON.stringify([kind, path, text]))
    .sort()
    .join('\n');
