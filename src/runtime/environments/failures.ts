import { Fault } from '#kernel/faults';
import { plain } from '../logs.ts';

/** How much of a tool's own words an error carries, in characters. */
const longest = 1_500;

/** A failed build as a fault: what was wanted, what the tool said, what to do. */
export function buildFault(what: string, words: string, advice: string): Fault {
  if (/ENOSPC|EDQUOT|no space left on device|disk quota exceeded/i.test(words)) {
    return new Fault('DISK_FULL', `The disk is full: ${what} could not be installed. Free some space and ask again.`);
  }
  return new Fault('START_FAILED', `${what} could not be installed: ${words || 'the tool said nothing.'}\n${advice}`);
}

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
