import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { basename } from 'node:path';
import type { Cancel, Clock } from '#kernel/clock';
import type { Logger } from '#kernel/logger';

export interface WatchOptions {
  /** Folders to watch. They need not exist: the poll finds them when they come. */
  readonly folders: readonly string[];
  /** Whether a change of the entry of this name is worth a look; null where the system does not name it. Left out, all are. */
  concerns?(name: string | null): boolean;
  /** Reads everything anew; tells whether anything changed. Never called twice at once. */
  read(): Promise<boolean>;
  readonly clock: Clock;
  readonly log: Logger;
  /** What is read, for the log: `the catalogue`. */
  readonly what: string;
  /** Milliseconds to let a burst of writes settle before reading. */
  readonly settleMs?: number;
  /** Milliseconds between looks, for file systems that tell of no changes. */
  readonly pollMs?: number;
}

export interface Watched {
  /** Reads now, after whatever reading goes on. */
  refresh(): Promise<boolean>;
  close(): void;
}

/**
 * Reads again when something in the folders changes, and now and then in any case: not every file system tells of
 * changes. Reads follow one another, so that an older one never overtakes a newer one. A read that fails is logged.
 */
export function watchFolders(options: WatchOptions): Watched {
  const { folders, read, clock, log, what, settleMs = 150, pollMs = 5_000 } = options;
  const watchers = new Map<string, FSWatcher>();
  let reading: Promise<boolean> = Promise.resolve(false);
  let cancel: Cancel = () => undefined;
  let closed = false;
  // A file that is written to without end must not put the reading off for ever.
  let latest = Infinity;

  const refresh = (): Promise<boolean> => {
    reading = reading.catch(() => false).then(() => (closed ? false : read()));
    return reading;
  };
  const schedule = (ms: number) => {
    cancel();
    if (closed) return;
    cancel = clock.after(ms, () => {
      latest = Infinity;
      watchAll();
      refresh()
        .catch((error: unknown) => log.warn('could not be read again', { what, error: String(error) }))
        // Unless a change came meanwhile and is settling already.
        .finally(() => latest === Infinity && schedule(pollMs));
    });
  };
  const settle = () => {
    const now = clock.now();
    latest = Math.min(latest, now + 10 * settleMs);
    schedule(Math.min(settleMs, Math.max(0, latest - now)));
  };
  const watchAll = () => {
    for (const folder of folders) if (!closed && !watchers.has(folder)) watchOne(folder);
  };
  const watchOne = (folder: string) => {
    try {
      const watcher = watch(folder, { persistent: false }, (event, name) => {
        if (options.concerns?.(name) === false && name !== basename(folder)) return;
        // The folder itself may have gone, and another may be in its place: the next look watches that one.
        if (event === 'rename') watcher.close();
        settle();
      });
      const drop = () => void (watchers.get(folder) === watcher && watchers.delete(folder));
      watcher.on('error', drop).on('close', drop);
      watchers.set(folder, watcher);
    } catch {
      // Not there yet.
    }
  };
  watchAll();
  schedule(pollMs);
  return {
    refresh,
    close() {
      closed = true;
      cancel();
      for (const watcher of [...watchers.values()]) watcher.close();
    },
  };
}
