import { accessSync, constants, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { Fault, systemCode, toFault } from './faults.ts';

/**
 * Why a home folder, or a file in it, cannot be had, with what to do about it. The system's own words lack both, and SQLite says
 * no more than that it cannot open something. What is not about the place stays as it is.
 */
export function placeFault(home: string, error: unknown, file = home): unknown {
  if (error instanceof Fault) return error;
  const otherwise = 'or choose another home folder with --home or SUTAZ_HOME.';
  const { code } = toFault(error);
  if (code === 'DISK_FULL')
    return new Fault(code, `The disk of ${home} is full: free some space, ${otherwise}`, { cause: error });
  // A system error may name another place within.
  const place = error instanceof Error && 'path' in error && typeof error.path === 'string' ? error.path : file;
  const why = systemCode(error) === undefined ? null : whyNotWritten(place, home, systemCode(error));
  return why === null ? error : new Fault('FORBIDDEN', `${why}, ${otherwise}`, { cause: error });
}

/** Null for what may be written as far as this can be seen; of what is not there, what it would be made in decides. */
function whyNotWritten(place: string, home: string, code: string | undefined): string | null {
  const at = nearest(place);
  const facts = statSync(at);
  const isInTheWay = at !== place || code === 'EEXIST' || code === 'ENOTDIR';
  if (isInTheWay && !facts.isDirectory()) return `${at} is a file, and no folder: move it away`;
  try {
    accessSync(at, constants.W_OK | (facts.isDirectory() ? constants.X_OK : 0));
    return null;
  } catch (error) {
    if (systemCode(error) === 'EROFS') return `${at} is on a file system that can only be read: mount it for writing`;
    const self = process.getuid?.() ?? 'another one';
    // Never what it lies in: that is somebody else's, and may be the system's.
    const how = at.startsWith(home) ? 'give it to this user' : `make ${home} for this user`;
    return `${at} may not be written: it belongs to user ${facts.uid}, and this is user ${self}: ${how}`;
  }
}

/** The path itself, or the nearest above it that is there and may be looked at. */
function nearest(path: string): string {
  try {
    statSync(path);
    return path;
  } catch {
    return nearest(dirname(path));
  }
}
