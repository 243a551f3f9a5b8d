import type { OnProgress } from '#contracts/models';
import { throwIfAborted } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { systemCode } from '#kernel/faults';
import { hashFile } from './files.ts';
import type { ModelStore } from './store.ts';

/** One file that was looked at. */
export interface Verified {
  readonly sha256: string;
  readonly bytes: number;
  /** The names that have it, each with whether it is their present version. */
  readonly names: readonly { readonly name: string; readonly present: boolean }[];
  /** Null when its bytes are what its digest says. */
  readonly problem: string | null;
}

export interface VerifyOptions {
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
  readonly clock: Clock;
}

interface Wanted {
  readonly sha256: string;
  readonly bytes: number;
  readonly path: string;
  readonly names: { readonly name: string; readonly present: boolean }[];
}

/**
 * Reads the files of the named models again, of all of their versions that are here, and compares them with their digests.
 * A broken one is marked and stays where it is; one that was marked and is whole again is cleared. Each file once, however
 * many names have it.
 */
export async function verifyModels(
  store: ModelStore,
  names: readonly string[],
  options: VerifyOptions,
): Promise<readonly Verified[]> {
  const wanted = await wantedOf(store, names);
  const total = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
  const results: Verified[] = [];
  let before = 0;
  for (const file of wanted) {
    const base = before;
    const what = file.names.map(({ name }) => name).join(', ');
    const onBytes = (done: number) =>
      options.onProgress({ phase: 'verifying', what, done: base + done, total, unit: 'bytes' });
    results.push(await verifyOne(store, file, onBytes, options));
    before += file.bytes;
  }
  return results;
}

async function wantedOf(store: ModelStore, names: readonly string[]): Promise<readonly Wanted[]> {
  const files = new Map<string, Wanted>();
  for (const name of names) {
    for (const { sha256, bytes, path, present, here } of await store.versions(name)) {
      // The present file that is missing or cut is a finding; an earlier version's is merely no longer kept.
      if (!here && !present) continue;
      const file = files.get(sha256) ?? { sha256, bytes, path, names: [] };
      file.names.push({ name, present });
      files.set(sha256, file);
    }
  }
  return [...files.values()];
}

async function verifyOne(
  store: ModelStore,
  { sha256, bytes, path, names }: Wanted,
  onBytes: (done: number) => void,
  { signal, clock }: VerifyOptions,
): Promise<Verified> {
  const release = store.hold(sha256);
  try {
    const problem = await problemOf(path, sha256, bytes, onBytes, signal);
    await store.mark(sha256, problem === null ? null : { reason: problem, foundAt: clock.wall() });
    return { sha256, bytes, names, problem };
  } finally {
    release();
  }
}

async function problemOf(
  path: string,
  sha256: string,
  bytes: number,
  onBytes: (done: number) => void,
  signal: AbortSignal,
): Promise<string | null> {
  let done = 0;
  try {
    const read = await hashFile(path, signal, (more) => onBytes((done += more)));
    if (read.bytes !== bytes) return `its file has ${read.bytes} bytes instead of ${bytes}`;
    return read.sha256 === sha256 ? null : `its SHA-256 is ${read.sha256}`;
  } catch (error) {
    throwIfAborted(signal);
    const code = systemCode(error);
    if (code === 'ENOENT') return 'its file is missing';
    // A disk that cannot read the file any more has damaged it.
    if (code === 'EIO') return 'the disk cannot read its file';
    throw error;
  }
}
