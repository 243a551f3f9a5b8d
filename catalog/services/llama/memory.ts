import { readFileSync } from 'node:fs';

export interface ProcessMemory {
  readonly rssBytes: number;
  /** Pages shared with other processes counted in part (Linux); null where the system doesn't tell. */
  readonly pssBytes: number | null;
  /** Of that, what no file stands behind: the part that cannot be dropped and read again. */
  readonly anonymousBytes: number | null;
}

function field(rollup: string, name: string): number | null {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(rollup);
  return found?.[1] === undefined ? null : Number(found[1]) * 1024;
}

export const parseRollup = (rollup: string) => ({
  pssBytes: field(rollup, 'Pss'),
  anonymousBytes: field(rollup, 'Pss_Anon'),
});

/** Of this process. The kernel adds the pages up at the time of asking: milliseconds, so not for a hot path. */
export function processMemory(): ProcessMemory {
  const rssBytes = process.memoryUsage.rss();
  try {
    return { rssBytes, ...parseRollup(readFileSync('/proc/self/smaps_rollup', 'utf8')) };
  } catch {
    return { rssBytes, pssBytes: null, anonymousBytes: null };
  }
}
