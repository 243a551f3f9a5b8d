import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { placeFault } from './place-fault.ts';

/** Opens a file of SQLite, or makes it. Throws FORBIDDEN or DISK_FULL with what is wrong with its place, where that is why. */
export function openDatabase(file: string): DatabaseSync {
  try {
    return new DatabaseSync(file);
  } catch (error) {
    throw placeFault(dirname(file), error, file);
  }
}
