import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pssBytes } from '../../test/_processes.ts';

/** Empty for a process that has ended, or that is another user's. */
function quietly(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}

const environ = (pid: number): string => quietly(() => readFileSync(`/proc/${pid}/environ`, 'utf8'));

export const environmentOf = (pid: number): Record<string, string> =>
  Object.fromEntries(
    environ(pid)
      .split('\0')
      .flatMap((entry) => {
        const equals = entry.indexOf('=');
        return equals > 0 ? [[entry.slice(0, equals), entry.slice(equals + 1)]] : [];
      }),
  );

const pids = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

const parentOf = (pid: number): number => {
  const stat = quietly(() => readFileSync(`/proc/${pid}/stat`, 'latin1'));
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
};

function isBelow(pid: number, root: number): boolean {
  for (let at = pid; at > 1; at = parentOf(at)) if (at === root) return true;
  return false;
}

/**
 * PSS of an instance's processes together, in bytes: those that inherited its mark, and those below its own, for a program that
 * writes its title over its environment has lost the mark.
 */
export async function instancePss(instance: string, root: number): Promise<number> {
  const own = pids().filter(
    (pid) => isBelow(pid, root) || `\0${environ(pid)}`.includes(`\0SUTAZ_INSTANCE=${instance}\0`),
  );
  // One that ends between the listing and the look weighs nothing.
  const sizes = await Promise.all(own.map((pid) => pssBytes(pid).catch(() => 0)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** PSS in bytes of a platform's own process and of all that run for it, whoever their parent is by now. */
export async function pssOfPlatform(home: string, root: number): Promise<number> {
  const all = pids();
  const parents = new Map(all.map((pid) => [pid, parentOf(pid)]));
  const isOurs = (pid: number): boolean => {
    for (let at = pid; at > 1; at = parents.get(at) ?? 0) if (at === root) return true;
    return worksBelow(pid, home);
  };
  const sizes = await Promise.all(all.filter(isOurs).map((pid) => pssBytes(pid).catch(() => 0)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

const worksBelow = (pid: number, home: string): boolean => {
  const folder = `${join(home, 'services')}/`;
  const cwd = quietly(() => readlinkSync(`/proc/${pid}/cwd`));
  return `${cwd}/`.startsWith(folder) || `\0${environ(pid)}`.includes(`\0HOME=${folder}`);
};

/** Processes that a platform on `home` has started: they work below its services' folders, or call one their own. */
export function processesBelow(home: string): string[] {
  return pids().flatMap((pid) => {
    if (!worksBelow(pid, home)) return [];
    const argv = quietly(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
      .replaceAll('\0', ' ')
      .trim();
    return [`process ${pid}: ${argv.slice(0, 120)}`];
  });
}

export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const done = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}
