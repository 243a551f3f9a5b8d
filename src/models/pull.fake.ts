import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelSource } from '#contracts/models';
import { fakeClock } from '#kernel/clock.fake';
import type { FakeClock } from '#kernel/clock.fake';
import type { Fault } from '#kernel/faults';
import { silentLogger } from '#kernel/logger';
import { createPuller } from './pull.ts';
import type { Puller, PullerOptions } from './pull.ts';
import { openModelStore } from './store.ts';
import { digestOf, fakeServer } from './server.fake.ts';
import type { FakeServer, Handler } from './server.fake.ts';
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
  /** A server that ends with the bench. */
  serving(handlers: Readonly<Record<string, Handler>>): Promise<FakeServer>;
  /** The digest of a model's file. Digests are compared, not bytes: a matcher walks over them one by one. */
  stored(model: string): Promise<string>;
  /** Files and folders of the partial area. */
  leftovers(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** A store in a temporary folder, or in the one given, with what a pull needs. */
export async function openBench(options: Partial<ModelStoreOptions> = {}, given?: string): Promise<Bench> {
  const dir = given ?? (await mkdtemp(join(tmpdir(), 'models-')));
  const clock = hastyClock();
  const servers: FakeServer[] = [];
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
    async serving(handlers) {
      const server = await fakeServer(handlers);
      servers.push(server);
      return server;
    },
    stored: async (model) => digestOf(await readFile(store.get(model)?.path ?? 'none')),
    async close() {
      await Promise.all(servers.splice(0).map((server) => server.close()));
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The model's file at a server of the test's. */
export const urlOf = (server: FakeServer, digest?: string, path = '/m.gguf'): ModelSource => ({
  kind: 'url',
  url: server.url + path,
  ...(digest !== undefined && { sha256: digest }),
});

/** What a pull was refused with. */
export async function faultOf(pull: Promise<unknown>): Promise<Error & Pick<Fault, 'code' | 'details'>> {
  const error: unknown = await pull.then(
    () => new Error('it was pulled'),
    (thrown: unknown) => thrown,
  );
  return error as Fault;
}
