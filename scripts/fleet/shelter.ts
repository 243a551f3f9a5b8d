/**
 * A shelter is where the fleet runs so that what services leave outside of their data is seen, and is nobody's trouble: a mount
 * namespace with a /tmp of its own and a layer over the user's home folder. It takes root, on Linux; elsewhere files are not
 * looked at.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, relative } from 'node:path';

const variable = 'SUTAZ_FLEET_SHELTER';

/** The folder of the shelter that this process runs in; null outside of one. */
export const shelter = (): string | null => process.env[variable] ?? null;

const script = `mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/home,workdir=$2/work" "$1"
mount --bind "$2/tmp" /tmp
shift 2
exec "$@"`;

const inNamespace = (argv: readonly string[], folder: string) =>
  ['--mount', '--propagation', 'private', 'sh', '-ec', script, 'sh', homedir(), folder, ...argv] as const;

/** Runs this program again in a shelter, and says with which code it ended; null where there can be none. */
export async function inShelter(folder: string): Promise<number | null> {
  for (const part of ['home', 'work', 'tmp']) await mkdir(join(folder, part), { recursive: true });
  if (spawnSync('unshare', inNamespace(['true'], folder), { stdio: 'ignore' }).status !== 0) return null;
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn('unshare', inNamespace(again, folder), {
    stdio: 'inherit',
    env: { ...process.env, [variable]: folder },
  });
  // A terminal's Ctrl-C comes to both; a signal to this process alone is passed on. It ends when the other has tidied up.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

/** Files that were written in a shelter outside of the platform's home, as they are called within. */
export async function strayFiles(folder: string): Promise<string[]> {
  const places = [
    [join(folder, 'tmp'), '/tmp'],
    [join(folder, 'home'), homedir()],
  ] as const;
  const found = places.map(async ([place, as]) => {
    const entries = await readdir(place, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(as, relative(place, entry.parentPath), entry.name));
  });
  return (await Promise.all(found)).flat();
}
