import { readFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import type { PlatformFile } from '#contracts/platform';
import { Fault, systemCode } from '#kernel/faults';
import { processMark } from '#kernel/process-mark';

/** The places in a home folder that clients know. */
export interface HomePaths {
  readonly root: string;
  readonly platformFile: string;
  readonly keyFile: string;
  readonly logs: string;
  /** What a platform that runs on its own says outside its log, and how it ended. */
  readonly output: string;
  readonly catalog: string;
}

export interface Machine {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  /** The user's home folder. */
  readonly homedir: string;
  readonly cwd: string;
}

/** The home folder: the one asked for, `SUTAZ_HOME`, or the platform's data folder; always absolute. */
export function resolveHome({ env, platform, homedir, cwd }: Machine, asked?: string): string {
  const named = asked || env.SUTAZ_HOME;
  if (named) return resolve(cwd, named);
  // The XDG specification: a relative path is to be ignored.
  if (env.XDG_DATA_HOME && isAbsolute(env.XDG_DATA_HOME)) return join(env.XDG_DATA_HOME, 'sutaz');
  return platform === 'darwin'
    ? join(homedir, 'Library', 'Application Support', 'sutaz')
    : join(homedir, '.local', 'share', 'sutaz');
}

export const homePaths = (root: string): HomePaths => ({
  root,
  platformFile: join(root, 'platform.json'),
  keyFile: join(root, 'keys', 'admin.key'),
  logs: join(root, 'logs'),
  output: join(root, 'logs', 'platform.out'),
  catalog: join(root, 'catalog'),
});

/** The owner's key. NOT_FOUND when there is none yet, FORBIDDEN when it is someone else's. */
export async function readKey({ keyFile }: HomePaths): Promise<string> {
  try {
    return (await readFile(keyFile, 'utf8')).trim();
  } catch (error) {
    if (systemCode(error) === 'EACCES') {
      throw new Fault('FORBIDDEN', `The key ${keyFile} belongs to another user.`, { cause: error });
    }
    if (systemCode(error) !== 'ENOENT') throw error;
    const message = `There is no key at ${keyFile} yet. The first \`sutaz up\` makes it.`;
    throw new Fault('NOT_FOUND', message, { cause: error });
  }
}

/** What `platform.json` says; null when there is none, or one only half written. It may be left from a platform that was killed. */
export async function readPlatformFile({ platformFile }: HomePaths): Promise<PlatformFile | null> {
  let text: string;
  try {
    text = await readFile(platformFile, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return null;
    if (systemCode(error) !== 'EACCES') throw error;
    const message = `${platformFile} may not be read: the home belongs to another user. Choose one with --home or SUTAZ_HOME.`;
    throw new Fault('FORBIDDEN', message, { cause: error });
  }
  try {
    const file: unknown = JSON.parse(text);
    return isPlatformFile(file) ? file : null;
  } catch {
    return null;
  }
}

const isPlatformFile = (value: unknown): value is PlatformFile =>
  typeof value === 'object' &&
  value !== null &&
  'url' in value &&
  typeof value.url === 'string' &&
  'pid' in value &&
  typeof value.pid === 'number';

/**
 * Whether the platform of a file runs. A number is given away again, surely after a boot: what has it then, and what listens
 * at that address, is a stranger. A file of an earlier release has no mark.
 */
export function isRunning({ pid, mark }: Pick<PlatformFile, 'pid'> & Partial<PlatformFile>): boolean {
  return isAlive(pid) && (typeof mark !== 'string' || (processMark(pid) ?? mark) === mark);
}

/** Whether a process runs. One that has ended and was not reaped yet (a container without an init) does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
  try {
    // The state follows the command's name, which is in parentheses and may hold any character.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.charAt(stat.lastIndexOf(')') + 2) !== 'Z';
  } catch {
    return true;
  }
}
