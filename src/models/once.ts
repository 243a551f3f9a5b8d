import { createSingleFlight } from '#kernel/single-flight';
import { hashFile } from './files.ts';
import type { Http } from './http.ts';
import type { FormatCheck } from './pull.ts';
import type { Boards } from './progress.ts';
import { isSha256 } from './names.ts';
import type { Fetched, SourceContext } from './sources/context.ts';
import type { ModelStore } from './store.ts';

/** Work shared by all pulls that want the same file, whatever name they want it for. */
export interface Sharing {
  run(key: string, work: (context: SourceContext) => Promise<Fetched>, own: Sharer): Promise<Fetched>;
}

/** One pull's side of it. */
export interface Sharer {
  readonly context: SourceContext;
  /** What the file is called, for messages. */
  readonly name: string;
  /** Keeps the file from being collected until this pull has named it. */
  hold(sha256: string): void;
}

export interface SharingOptions {
  readonly store: ModelStore;
  readonly boards: Boards;
  readonly check: FormatCheck;
  readonly http: () => Http;
}

export function createSharing({ store, boards, check, http }: SharingOptions): Sharing {
  const flights = createSingleFlight<Fetched>();
  return {
    async run(key, work, { context, name, hold }) {
      const seat = boards.join(key, context.onProgress);
      try {
        const fetched = await flights.run(key, context.signal, async (signal) => {
          // A client of its own: the one of the pull that began it is closed when that pull's last caller leaves.
          const client = http();
          const shared = { ...context, signal, http: client, onProgress: seat.publish };
          try {
            return await fetchInto(key, work, shared, store, (path) => check(path, name));
          } finally {
            await client.close();
          }
        });
        hold(fetched.sha256);
        return fetched;
      } finally {
        seat.leave();
      }
    },
  };
}

/** Fetches into the key's own folder, and moves what came into the store: nobody else has that file open then. */
async function fetchInto(
  key: string,
  work: (context: SourceContext) => Promise<Fetched>,
  context: SourceContext,
  store: ModelStore,
  check: (path: string) => Promise<unknown>,
): Promise<Fetched> {
  const releases = [store.hold(key)];
  try {
    const known = key.replace(/^sha256-/, '');
    if (isSha256(known)) releases.push(store.hold(known));
    const here = isSha256(known) ? await verifiedBlob(known, context, store) : null;
    if (here) return here;
    const fetched = await work({ ...context, folder: await store.partial(key) });
    await check(fetched.path);
    releases.push(store.hold(fetched.sha256));
    const { path } = await store.admit(fetched.path, { ...fetched, source: '' });
    await store.dropPartial(key);
    return { ...fetched, path };
  } finally {
    await store.dropPartial(key, true);
    // Later than the callers' own holds, which they take when this has ended.
    setImmediate(() => releases.forEach((release) => release()));
  }
}

/**
 * The blob of a digest when it is here and is what its name says; its bytes are read for that. One that is not is marked,
 * so that what is fetched instead takes its place: to the store both are of one size.
 */
export async function verifiedBlob(
  sha256: string,
  { signal, onProgress, clock }: Pick<SourceContext, 'signal' | 'onProgress' | 'clock'>,
  store: Pick<ModelStore, 'blob' | 'mark'>,
): Promise<Fetched | null> {
  const blob = await store.blob(sha256);
  if (!blob) return null;
  let done = 0;
  const read = await hashFile(blob.path, signal, (bytes) => {
    done += bytes;
    onProgress({ phase: 'verifying', what: `sha256:${sha256.slice(0, 12)}`, done, total: blob.bytes, unit: 'bytes' });
  });
  if (read.sha256 === sha256) return { path: blob.path, ...read };
  await store.mark(sha256, { reason: `its SHA-256 is ${read.sha256}`, foundAt: clock.wall() });
  return null;
}
