import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { PlatformFile } from '#contracts/platform';
import { Fault, systemCode } from '#kernel/faults';
import { openDatabase } from '#kernel/database';
import { placeFault } from '#kernel/place-fault';

/** The folders of a home, all of which exist once it is open. */
export interface Home {
  readonly path: string;
  readonly stateFile: string;
  readonly keyFile: string;
  /** Of which the lasting secrets of services are made. */
  readonly seedFile: string;
  readonly models: string;
  readonly environments: string;
  readonly logs: string;
  readonly jobs: string;
  readonly catalog: string;
  /** Says where the platform is reached; the CLI reads it. */
  announce(file: PlatformFile): Promise<void>;
  /** Leaves the home to another process, which has announced itself or will: a release afterwards does nothing. */
  unlock(): void;
  /** Gives the home back; the announcement goes. */
  release(): Promise<void>;
}

/**
 * Opens a home for one platform at a time. The lock is SQLite's own lock on a file that does nothing else: the kernel
 * holds it for the life of this process and gives it back even after kill -9, so that no stale lock is ever to be judged.
 * Throws CONFLICT with the `url` and `pid` of the platform that has it.
 */
export async function openHome(path: string): Promise<Home> {
  try {
    return await open(path);
  } catch (error) {
    throw placeFault(path, error);
  }
}

async function open(path: string): Promise<Home> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const folders = { models: join(path, 'models'), environments: join(path, 'env'), logs: join(path, 'logs') };
  const unlock = await lock(path);
  let isOurs = true;
  try {
    const catalog = join(path, 'catalog');
    const wanted = [
      ...Object.values(folders),
      join(catalog, 'services'),
      join(catalog, 'models'),
      join(path, 'services'),
    ];
    for (const folder of wanted) await mkdir(folder, { recursive: true });
    const keys = join(path, 'keys');
    await mkdir(keys, { recursive: true, mode: 0o700 });
    await chmod(keys, 0o700);
    const file = join(path, 'platform.json');
    return {
      path,
      ...folders,
      catalog,
      jobs: join(path, 'jobs'),
      stateFile: join(path, 'state.db'),
      keyFile: join(keys, 'admin.key'),
      seedFile: join(keys, 'services.seed'),
      announce: (facts) => writeWhole(file, `${JSON.stringify(facts, null, 2)}\n`, 0o600),
      unlock() {
        isOurs = false;
        unlock();
      },
      async release() {
        if (!isOurs) return;
        isOurs = false;
        try {
          await rm(file, { force: true });
        } finally {
          unlock();
        }
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

async function lock(home: string): Promise<() => void> {
  const file = join(home, 'platform.lock');
  const db = openDatabase(file);
  try {
    db.exec('PRAGMA busy_timeout=0; PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE');
    return () => db.close();
  } catch (error) {
    db.close();
    if (!/locked|busy/i.test(String(error))) throw placeFault(dirname(file), error, file);
    const holder = await readFile(join(home, 'platform.json'), 'utf8')
      .then((text) => JSON.parse(text) as PlatformFile)
      .catch(() => null);
    const where = holder ? ` at ${holder.url} (pid ${holder.pid})` : '';
    throw new Fault(
      'CONFLICT',
      `A platform runs on ${home} already${where}. Stop it with \`sutaz down\`, or choose another home with --home.`,
      {
        cause: error,
        details: holder ? { url: holder.url, pid: holder.pid } : {},
      },
    );
  }
}

/** Writes a file so that a reader sees the old one or the new one, never half of either. */
export async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${process.pid}.new`;
  try {
    await writeFile(temporary, text, { mode });
    await chmod(temporary, mode);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Reads a file that may not be there yet. */
export async function readMaybe(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}
