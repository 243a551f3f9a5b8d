import { mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { RuntimeDriver } from '#contracts/runtime';
import type { Logger } from '#kernel/logger';

/**
 * Where an instance has its temporary files. Not among its data: a service could put a link in the folder's place, and the
 * platform, which may be root, would give away or remove what that leads to.
 */
export const temporaryOf = (home: string, id: string): string => join(home, 'tmp', id);

export async function makeTemporary(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await mkdir(path, { recursive: true, mode: 0o700 });
}

export const removeTemporary = (path: string): Promise<void> =>
  rm(path, { recursive: true, force: true, maxRetries: 3 });

/** Temporary files go with their instances; everything of an instance has ended when its driver tells so. */
export function removeTemporaries(driver: Pick<RuntimeDriver, 'onExit'>, home: string, log: Logger) {
  const remove = (id: string) =>
    removeTemporary(temporaryOf(home, id)).catch((error: unknown) =>
      log.warn('temporary files of an instance could not be removed', { id, error: String(error) }),
    );
  const removals = new Set<Promise<void>>();
  const unlisten = driver.onExit(({ id }) => {
    const removal = remove(id).finally(() => removals.delete(removal));
    removals.add(removal);
  });
  return {
    /** Removes those of instances that nobody knows: they ended unseen, or were never begun. */
    async sweep(known: ReadonlySet<string>): Promise<void> {
      const there = await readdir(join(home, 'tmp')).catch(() => []);
      await Promise.all(there.filter((id) => !known.has(id)).map(remove));
    },
    /** Resolves when nothing more is being removed. */
    async close(): Promise<void> {
      unlisten();
      await Promise.all(removals);
    },
  };
}
