import { stat } from 'node:fs/promises';
import { systemCode } from './faults.ts';

/** Bytes; null where there is no such file. */
export async function sizeOf(file: string): Promise<number | null> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}
