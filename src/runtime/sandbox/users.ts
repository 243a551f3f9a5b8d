import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createHash } from 'node:crypto';
import { systemTool } from '#kernel/system-tools';

/** How many numbers the platform keeps for users of its services, from the configured one on. */
export const userCount = 10_000;

/** Bits of capabilities(7): what it takes to start something as another user, and to watch and end it afterwards. */
const needed = { CHOWN: 0, DAC_OVERRIDE: 1, KILL: 5, SETGID: 6, SETUID: 7, SYS_PTRACE: 19 } as const;

/** Why no service can get a user of its own here; null when it can. Tried, not guessed. */
export async function whyNoUsers(first: number, proc = '/proc/self'): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'the platform does not run as root';
  const status = await readFile(`${proc}/status`, 'utf8').catch(() => '');
  const has = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  const lacking = Object.entries(needed).filter(([, bit]) => (has & (1n << BigInt(bit))) === 0n);
  if (lacking.length > 0) return `the platform lacks ${lacking.map(([name]) => `CAP_${name}`).join(', ')}`;
  const setpriv = systemTool('setpriv');
  if (setpriv === null) return 'setpriv is not there (Debian: apt install util-linux)';
  const last = String(first + userCount - 1);
  const argv = [
    '--no-new-privs',
    `--reuid=${last}`,
    `--regid=${last}`,
    `--groups=${first}`,
    '--',
    '/bin/sh',
    '-c',
    ':',
  ];
  return new Promise((resolve) => {
    execFile(setpriv, argv, { timeout: 10_000 }, (error, _, stderr) => {
      resolve(error ? `setpriv cannot become user ${last}: ${stderr.trim() || error.message}` : null);
    });
  });
}

/**
 * The user of a data folder, for good: its owner is the record. A new one gets a number by its path, the next free one
 * when another folder beside it has that. `taken` are those promised and not yet written.
 */
export function userOf(dataDir: string, first: number, taken: ReadonlyMap<string, number>): number {
  const owner = ownerOf(dataDir);
  if (owner !== null && isOurs(owner, first)) return owner;
  const known = taken.get(dataDir);
  if (known !== undefined) return known;
  const folder = dirname(dataDir);
  const used = new Set(taken.values());
  for (const name of readdirSync(folder)) used.add(ownerOf(join(folder, name)) ?? first);
  // The first number is the group of all of them.
  const places = userCount - 1;
  let place = createHash('sha256').update(dataDir).digest().readUInt32BE() % places;
  while (used.has(first + 1 + place)) place = (place + 1) % places;
  return first + 1 + place;
}

/** The groups that may use graphics cards: what computes on one must be in them, whoever it runs as. */
export function cardGroups(dev = '/dev'): number[] {
  const names = ['kfd', ...readFolder(join(dev, 'dri')).map((name) => join('dri', name))];
  const groups = names.map((name) => statSync(join(dev, name), { throwIfNoEntry: false })?.gid ?? 0);
  // Never root's.
  return [...new Set(groups)].filter((gid) => gid > 0);
}

const readFolder = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);

export const isOurs = (uid: number, first: number): boolean => uid >= first && uid < first + userCount;

export const ownerOf = (path: string): number | null => statSync(path, { throwIfNoEntry: false })?.uid ?? null;
