import { Fault } from '#kernel/faults';
import { plain } from '../logs.ts';

/** How much of a tool's own words an error carries, in characters. */
const longest = 1_500;

const full = /ENOSPC|EDQUOT|no space left on device|disk quota exceeded/i;
const unreachable =
  /ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|client error \(Connect\)|NewConnectionError/;

/** A failed build as a fault: what was wanted, what the tool said, what to do. `dir` is where it was to be. */
export function buildFault(what: string, words: string, advice: string, dir: string): Fault {
  if (full.test(words)) return diskFull(what, dir);
  if (unreachable.test(words)) {
    const told = `${what} could not be installed, because the registry cannot be reached: ${words}`;
    return new Fault('START_FAILED', `${told}\nIt was asked several times, after growing waits. ${advice}`);
  }
  return new Fault('START_FAILED', `${what} could not be installed: ${words || 'the tool said nothing.'}\n${advice}`);
}

export const diskFull = (what: string, dir: string): Fault =>
  new Fault(
    'DISK_FULL',
    `The disk of ${dir} is full: ${what} could not be installed, and nothing by halves is left. \`sutaz env prune\` and ` +
      '`sutaz models gc` remove what nothing needs; then ask again.',
  );

/** Whether a tool that goes on trying can only fail. */
export const isDiskFull = (code: string): boolean => full.test(code);

/** Without colours, empty lines and the passwords of addresses; from the end, because that is where tools say why. */
export function words(lines: readonly string[]): string {
  const text = lines
    .flatMap((line) => line.split('\n'))
    .map((line) => withoutPasswords(plain(line).trimEnd()))
    .filter((line) => line.trim() !== '')
    .join('\n')
    .trim();
  return text.length > longest ? `... ${text.slice(-longest)}` : text;
}

/** `https://user:password@host` and `https://token@host` are how people give a registry its credentials. */
export const withoutPasswords = (text: string): string => text.replace(/(\w+:\/\/)[^\s/@]+@/g, '$1***@');
