import { rm } from 'node:fs/promises';
import type { ModelSource, OnProgress, Progress } from '#contracts/models';
import { abortFault, throwIfAborted } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { Fault, toFault } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { createSingleFlight } from '#kernel/single-flight';
import { mismatch } from './download.ts';
import { diskFull, freeBytes, isDiskFull } from './files.ts';
import type { FreeBytes } from './files.ts';
import { openHttp } from './http.ts';
import type { Http } from './http.ts';
import { createSharing, verifiedBlob } from './once.ts';
import type { Sharing } from './once.ts';
import { createBoards, paced } from './progress.ts';
import { writeChunk } from './sources/context.ts';
import type { Fetched, SourceContext, WriteChunk } from './sources/context.ts';
import { checkSignature } from './signature.ts';
import type { ModelStore, StoredModel } from './store.ts';

export interface PullOptions {
  /** Leaving lets this caller go; the pull itself ends when its last caller has left. */
  readonly signal: AbortSignal;
  /** Hears the latest state at once when the pull runs already. */
  readonly onProgress?: OnProgress;
  /** About how many bytes the model has: what is checked before a source is asked that can not tell. */
  readonly size?: number;
  /** A person asked: a name that is held at an earlier version goes on to what its sources have. */
  readonly byHand?: boolean;
  /** Asks the sources although a file is here, since they may have a newer one. */
  readonly update?: boolean;
}

export interface Puller {
  /**
   * The model, fetched when it is not here or is known to be damaged. Sources are tried in their order; the first that
   * delivers what it promises wins. Asked twice at once, it is fetched once; the same file under two names, too. Throws
   * UPSTREAM_FAILED with every source's reason, DISK_FULL, CANCELLED.
   */
  pull(name: string, sources: readonly ModelSource[], options: PullOptions): Promise<StoredModel>;
  /** How far the running pulls are, by name. */
  running(): ReadonlyMap<string, Progress>;
  /** Resolves when the pull that runs now has ended, however; null when none does. */
  ended(name: string): Promise<void> | null;
}

/** Throws what is wrong with a file that was fetched, before it becomes a model. `name` is what its source calls it. */
export type FormatCheck = (path: string, name: string) => Promise<unknown>;

export interface PullerOptions {
  readonly store: ModelStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** The process's own environment: tokens, proxies, other registries. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly http?: () => Http;
  readonly free?: FreeBytes;
  readonly write?: WriteChunk;
  /** Everything passes when left out. */
  readonly check?: FormatCheck;
}

export function createPuller(options: PullerOptions): Puller {
  const { store, clock, log, check = async () => undefined } = options;
  const flights = createSingleFlight<StoredModel>();
  const boards = createBoards(log);
  const sharing = createSharing({ store, check, boards: createBoards(log), http: options.http ?? openHttp });
  const ends = new Map<string, Promise<void>>();
  return {
    running: () => boards.latest(),
    ended: (name) => ends.get(name) ?? null,
    async pull(name, sources, { signal, onProgress, ...asked }) {
      throwIfAborted(signal);
      const board = boards.join(name, onProgress);
      try {
        return await flights.run(name, signal, async (inner) => {
          // Its folder of the partial area: a source that shares its work with nobody writes there.
          const releases = [store.hold(name)];
          const end = Promise.withResolvers<void>();
          ends.set(name, end.promise);
          const report = paced(clock, board.publish);
          const work = { ...asked, store, options, sharing, check, name, sources, signal: inner, report, releases };
          try {
            return await obtain(work);
          } finally {
            for (const release of releases) release();
            ends.delete(name);
            end.resolve();
          }
        });
      } finally {
        board.leave();
      }
    },
  };
}

interface Work extends Pick<PullOptions, 'size' | 'byHand' | 'update'> {
  readonly store: ModelStore;
  readonly options: PullerOptions;
  readonly sharing: Sharing;
  readonly check: FormatCheck;
  readonly name: string;
  readonly sources: readonly ModelSource[];
  readonly signal: AbortSignal;
  readonly report: OnProgress;
  /** Called when the pull has ended. */
  readonly releases: (() => void)[];
}

async function obtain(work: Work): Promise<StoredModel> {
  const { store, name, sources } = work;
  const here = await present(work);
  if (here) return here;
  const damaged = store.get(name);
  // Only what is broken is fetched: the same file, not whatever a source without a digest has by now.
  const same = damaged && store.damage(damaged.sha256) && !work.update ? pinned(sources, damaged.sha256) : [];
  const wanted = same.length > 0 ? { ...work, sources: same } : work;
  return (await adopt(wanted)) ?? (await fetchFirst(wanted));
}

/** The model as it is, unless its definition meanwhile promises other bytes, or its file was deleted behind our back. */
async function present({ store, name, sources, byHand, update }: Work): Promise<StoredModel | null> {
  const model = store.get(name);
  if (!model || store.damage(model.sha256) || (await store.blob(model.sha256)) === null) return null;
  if (model.held && !byHand) return model;
  const promised = sources.map(({ sha256 }) => sha256);
  // Whoever was held back and is let go is to have what the sources have by now.
  const asks = update || model.held;
  const asPromised = promised.includes(model.sha256) || (promised.includes(undefined) && !asks);
  if (!asPromised) return null;
  return model.held ? store.add(name, model.path, model) : model;
}

/** The sources that have a certain file, or may have it. */
export const pinned = (sources: readonly ModelSource[], sha256: string): readonly ModelSource[] =>
  sources.filter((source) => (source.sha256 ?? sha256) === sha256).map((source) => ({ ...source, sha256 }));

/** Names a file that is here already under a promised digest: another model's, or one whose naming a crash prevented. */
async function adopt({ store, options, name, sources, signal, report, releases }: Work): Promise<StoredModel | null> {
  const reading = { signal, onProgress: report, clock: options.clock };
  // Mirrors promise one digest: its file is read once for all of them.
  for (const sha256 of new Set(sources.map((source) => source.sha256))) {
    const source = sources.find((other) => other.sha256 === sha256);
    if (sha256 === undefined || !source) continue;
    releases.push(store.hold(sha256));
    const blob = await verifiedBlob(sha256, reading, store);
    if (!blob) continue;
    if (source.signature) await checkSignature(blob.path, nameIn(source), source.signature, reading);
    return store.add(name, blob.path, { ...blob, source: describeSource(source) });
  }
  return null;
}

async function fetchFirst(work: Work): Promise<StoredModel> {
  const { store, options, name, sources, signal } = work;
  const failures: { readonly source: string; readonly fault: Fault }[] = [];
  const http = (options.http ?? openHttp)();
  try {
    for (const source of sources) {
      const shown = describeSource(source);
      try {
        const fetched = await fetchVerified(source, await contextOf(work, http, nameIn(source)), work);
        const model = await store.add(name, fetched.path, { ...fetched, source: shown });
        await store.dropPartial(name);
        options.log.info('model pulled', { model: name, source: shown, bytes: model.bytes, sha256: model.sha256 });
        return model;
      } catch (error) {
        if (signal.aborted) throw abortFault(signal);
        const fault = isDiskFull(error) ? await fullDisk(work, error) : toFault(error);
        if (fault.code === 'DISK_FULL' || fault.code === 'CANCELLED') throw fault;
        failures.push({ source: shown, fault });
        options.log.warn('model source failed', {
          model: name,
          source: shown,
          code: fault.code,
          reason: fault.message,
        });
      }
    }
  } finally {
    await http.close();
  }
  throw allFailed(name, failures);
}

async function contextOf(work: Work, http: Http, file: string): Promise<SourceContext> {
  const { store, options, sharing, name, size, signal, report, releases } = work;
  const { clock, log, env = process.env, free = freeBytes, write = writeChunk } = options;
  const common = { signal, onProgress: report, clock, log, http, env, free, write, size };
  const context: SourceContext = {
    ...common,
    folder: await store.partial(name),
    once: (key, work) => {
      const hold = (sha256: string) => void releases.push(store.hold(sha256));
      return sharing.run(key, work, { context, name: file, hold });
    },
  };
  return context;
}

/** The source's file, checked against what its definition promises, whatever the source itself has checked. */
async function fetchVerified(source: ModelSource, context: SourceContext, { store, check }: Work): Promise<Fetched> {
  const fetched = await fetchFrom(source, context);
  const settled = (await store.blob(fetched.sha256))?.path === fetched.path;
  try {
    if (source.sha256 !== undefined && fetched.sha256 !== source.sha256) {
      throw mismatch(describeSource(source), source.sha256, fetched.sha256);
    }
    if (!settled) await check(fetched.path, nameIn(source));
    if (source.signature) await checkSignature(fetched.path, nameIn(source), source.signature, context);
    return fetched;
  } catch (error) {
    if (!settled) await rm(fetched.path, { force: true });
    throw error;
  }
}

/** What a source calls its file. */
function nameIn(source: ModelSource): string {
  if (source.kind === 'file') return source.path;
  if (source.kind === 'url') return URL.parse(source.url)?.pathname ?? source.url;
  if (source.kind === 'huggingface') return source.file;
  return source.kind === 'ollama' ? source.model : (source.files.at(-1) ?? '');
}

/** Each kind's code is loaded when it is first asked: most runs of the platform never pull. */
async function fetchFrom(source: ModelSource, context: SourceContext): Promise<Fetched> {
  switch (source.kind) {
    case 'file':
      return (await import('./sources/file.ts')).fetchFile(source, context);
    case 'url':
      return (await import('./sources/url.ts')).fetchUrl(source, context);
    case 'huggingface':
      return (await import('./sources/huggingface.ts')).fetchHuggingFace(source, context);
    case 'ollama':
      return (await import('./sources/ollama.ts')).fetchOllama(source, context);
    case 'python':
      return (await import('./sources/python.ts')).fetchPython(source, context);
  }
}

/** A source in one line for people; of an address neither password nor query, where keys are. */
export function describeSource(source: ModelSource): string {
  switch (source.kind) {
    case 'file':
      return `file ${source.path}`;
    case 'url': {
      const url = URL.parse(source.url);
      return `url ${url ? `${url.origin}${url.pathname}` : '(not an address)'}`;
    }
    case 'huggingface':
      return `huggingface ${source.repo}/${source.file}@${source.revision}`;
    case 'ollama':
      return `ollama ${source.model}`;
    case 'python':
      return `python ${source.packages.join(' ')}`;
  }
}

async function fullDisk({ store, options, name, size }: Work, cause: unknown): Promise<Fault> {
  const free = await (options.free ?? freeBytes)(store.dir);
  return diskFull(store.dir, size, free, name, cause);
}

function allFailed(name: string, failures: readonly { readonly source: string; readonly fault: Fault }[]): Fault {
  if (failures.length === 0) return new Fault('UPSTREAM_FAILED', `${name} has no source to be fetched from.`);
  const reasons = failures.map(({ source, fault }) => `${source}: ${fault.message}`).join(' | ');
  return new Fault('UPSTREAM_FAILED', `${name} could not be fetched from any of its sources. ${reasons}`, {
    cause: new AggregateError(failures.map(({ fault }) => fault)),
    details: { sources: failures.map(({ source, fault }) => ({ source, code: fault.code, reason: fault.message })) },
  });
}
