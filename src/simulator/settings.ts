import { Fault } from '#kernel/faults';
import { didYouMean } from '#kernel/nearest';
import type { Settings } from '#scheduler/types';
import { simulatedSettings } from './policies/sutaz.ts';

/** Reads `ageingMs=60000`, any number of them. Throws BAD_REQUEST, which names the nearest setting there is. */
export function parseSettings(words: readonly string[], base: Settings = simulatedSettings): Settings {
  const names = Object.keys(base);
  const changed: Record<string, number | boolean> = {};
  for (const word of words.flatMap((list) => list.split(',')).filter((one) => one !== '')) {
    const at = word.includes('=') ? word.indexOf('=') : word.length;
    const [name, value] = [word.slice(0, at).trim(), word.slice(at + 1).trim()];
    if (!Object.hasOwn(base, name)) {
      const meant = didYouMean(name, names);
      throw new Fault('BAD_REQUEST', `${name} is no setting.${meant === '' ? ` Known: ${names.join(', ')}.` : meant}`);
    }
    if (typeof base[name as keyof Settings] === 'boolean') {
      changed[name] = flagOf(name, value);
      continue;
    }
    if (value === '' || !Number.isFinite(Number(value)) || Number(value) < 0) {
      throw new Fault('BAD_REQUEST', `${name} must be a number of at least 0, as in ${name}=1000, not "${value}".`);
    }
    changed[name] = Number(value);
  }
  return { ...base, ...changed };
}

function flagOf(name: string, value: string): boolean {
  if (value === 'true' || value === 'false') return value === 'true';
  throw new Fault('BAD_REQUEST', `${name} must be true or false, not "${value}".`);
}
