import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestPlatform } from './_platform.ts';
import { exited, until } from './_processes.ts';

/** The workers of a platform, by their process ids. */
export const workersOf = (parent: number): number[] =>
  readdirSync('/proc').flatMap((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1').replace(/^.*\) /s, '');
      const isOne = readFileSync(`/proc/${name}/cmdline`, 'latin1').includes('workers/worker.ts');
      return isOne && Number(stat.split(' ')[1]) === parent && !exited(Number(name)) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });

/** Each of two has said that it is ready. */
export const workersReady = ({ home, pid: parent }: TestPlatform): Promise<void> =>
  until(async () => {
    const log = await readFile(join(home, 'logs/platform.log'), 'utf8');
    return workersOf(parent).filter((pid) => log.includes(`"worker":${pid},`)).length === 2;
  }, 'the workers');
