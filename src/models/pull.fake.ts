import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fakeClock } from '#kernel/clock.fake';
import type { FakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import { createPuller } from './pull.ts';
import type { Puller, PullerOptions } from './pull.ts';
import { openModelStore } from './store.ts';
import type { FakeServer } from './server.fake.ts';
import { writeChunk } from './sources/context.ts';
import type { ModelStore, ModelStoreOptions } from './store.ts';

/** Waits up to this long are backoffs, which pass at once; longer ones are time limits, which a test lets pass. */
const longestBackoffMs = 10_000;

/** A fake clock on which short waits end by themselves. */
export function hastyClock(): FakeClock {
  const clock = fakeClock();
  return {
    ...clock,
    get pending() {
      return clock.pending;
    },
    after(ms, callback) {
      if (ms > longestBackoffMs) return clock.after(ms, callback);
      const immediate = setImmediate(callback);
      return () => clearImmediate(immediate);
    },
  };
}

export interface Bench {
  readonly dir: string;
  readonly store: ModelStore;
  readonly clock: FakeClock;
  /** A puller that tells the servers it made itself known to what it has written, so that they can cut it off. */
  puller(options?: Partial<PullerOptions>, ...servers: readonly FakeServer[]): Puller;
  /** Files and folders of the partial area. */
  leftovers(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** A store in a temporary folder, or in the one given, with what a pull needs. */
export async function openBench(options: Partial<ModelStoreOptions> = {}, given?: string): Promise<Bench> {
  const dir = given ?? (await mkdtemp(join(tmpdir(), 'models-')));
  const clock = hastyClock();
  const store = await openModelStore({ dir, clock, log: silentLogger, sync: async () => undefined, ...options });
  return {
    dir,
    store,
    clock,
    puller: (given = {}, ...servers) =>
      createPuller({
        store,
        clock,
        log: silentLogger,
        env: {},
        async write(handle, chunk, position) {
          await writeChunk(handle, chunk, position);
          for (const server of servers) server.wrote(chunk.length);
        },
        ...given,
      }),
    leftovers: async () => (await readdir(join(dir, 'partial'), { recursive: true })).sort(),
    close: () => rm(dir, { recursive: true, force: true }),
  };
}
