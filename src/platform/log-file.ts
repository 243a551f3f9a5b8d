import { openSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes from which the log of an earlier run is put aside when a new one begins. */
const mostBytes = 8 * 2 ** 20;

/** Opens the platform's own log for appending; what is there already stays, once moved aside when it grew large. */
export function openPlatformLog(folder: string): number {
  const path = join(folder, 'platform.log');
  try {
    if (statSync(path).size > mostBytes) renameSync(path, `${path}.1`);
  } catch {
    // There is none yet.
  }
  return openSync(path, 'a', 0o600);
}
