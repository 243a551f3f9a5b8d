import { appendFile, readFile } from 'node:fs/promises';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { exited, until } from './_processes.ts';
import { processesOf } from './fixtures/holders.ts';

/** One line a home folder that a test of this run started a platform on. */
const listIn = (testHome: string): string => join(testHome, 'homes.txt');

export const noteHome = (testHome: string, home: string): Promise<void> => appendFile(listIn(testHome), `${home}\n`);

export async function notedHomes(testHome: string): Promise<readonly string[]> {
  const text = await readFile(listIn(testHome), 'utf8').catch(() => '');
  return [...new Set([testHome, ...text.split('\n').filter(Boolean)])];
}

/** The platforms that run on the home: by their command lines, since a platform that was killed leaves a file that lies. */
function platformsOf(home: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      const argv = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      return argv.includes('up') && argv[argv.indexOf('--home') + 1] === home ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}

/**
 * Ends what tests left running on a home: its platform, which stops its instances by itself, and then whatever instance
 * is still there, since a test that failed may have killed the platform before. Returns what had to be ended. Processes
 * of other homes, and so of other runs and of the people of this machine, are left alone.
 */
export async function endLeftovers(home: string, patienceMs = 10_000): Promise<number[]> {
  const platforms = platformsOf(home);
  for (const pid of platforms) signal(pid, 'SIGTERM');
  await until(() => platforms.every(exited), 'platforms to end', patienceMs).catch(() => undefined);
  const ended = new Set(platforms);
  for (const pid of platforms.filter((one) => !exited(one))) signal(pid, 'SIGKILL');
  // What one of them starts while the others are ended is found by the next look.
  await until(
    () => {
      const left = processesOf(home);
      for (const { pid } of left) {
        signal(pid, 'SIGKILL');
        ended.add(pid);
      }
      return left.length === 0;
    },
    `the instances of ${home} to end`,
    patienceMs,
  );
  return [...ended];
}
