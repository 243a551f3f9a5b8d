import { isSha256 } from './names.ts';

/** What one file of `manifests/` says about its name. */
export interface Manifest {
  readonly sha256: string;
  readonly bytes: number;
  /** Where the file came from, for people. */
  readonly source: string;
  /** Milliseconds since the epoch. */
  readonly pulledAt: number;
}

/** Null for whatever is not a manifest: the file may have been edited, or cut by a failing disk. */
export function parseManifest(text: string): Manifest | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { sha256, bytes, source, pulledAt } = value as Readonly<Record<string, unknown>>;
  const whole = (number: unknown): number is number => Number.isSafeInteger(number) && (number as number) >= 0;
  if (typeof sha256 !== 'string' || !isSha256(sha256) || !whole(bytes)) return null;
  return {
    sha256,
    bytes,
    source: typeof source === 'string' ? source : 'unknown',
    pulledAt: whole(pulledAt) ? pulledAt : 0,
  };
}
