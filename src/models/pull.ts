import { rm } from 'node:fs/promises';
import type { ModelSource, OnProgress, Progress } from '#contracts/models';
import { abortFault, throwIfAborted } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { Fault, toFault } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { createSingleFlight } from '#kernel/single-flight';
import { mismatch } from './download.ts';
import { diskFull, freeBytes, hashFile, isDiskFull } from './files.ts';
import type { FreeBytes } from './files.ts';
import { openHttp } from './http.ts';
import type { Http } from './http.ts';
import { createBoards, paced } from './progress.ts';
import { writeChunk } from './sources/context.ts';
import type { Fetched, SourceContext, WriteChunk } from './sources/context.ts';
import type { ModelStore, StoredModel } from './store.ts';

export interface PullOptions {
  /** Leaving lets this caller go; the pull itself ends when its last caller has left. */
  readonly signal: AbortSignal;
  /** Hears the latest state at once when the pull runs already. */
  readonly onProgress?: OnProgress;
  /** About how many bytes the model has: what is checked before a source is asked that can not tell. */
  readonly size?: number;
}

export interface Puller {
  /**
   * The model, fetched when it is not here. Sources are tried in their order; the first that delivers what it promises
   * wins. Asked twice at once, it is fetched once. Throws UPSTREAM_FAILED with every source's reason, DISK_FULL, CANCELLED.
   */
  pull(name: string, sources: readonly ModelSource[], options: PullOptions): Promise<StoredModel>;
  /** How far the running pulls are, by name. */
  running(): ReadonlyMap<string, Progress>;
}

export interface PullerOptions {
  readonly store: ModelStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** The process's own environment: tokens, proxies, other registries. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly http?: () => Http;
  readonly free?: FreeBytes;
  readonly write?: WriteChunk;
}

export function createPuller(options: PullerOptions): Puller {
  const { store, clock, log } = options;
  const flights = createSingleFlight<StoredModel>();
  const boards = createBoards(log);
  return {
    running: () => boards.latest(),
    async pull(name, sources, { signal, onProgress, size }) {
      throwIfAborted(signal);
      const board = boards.join(name, onProgress);
      try {
        return await flights.run(name, signal, async (inner) => {
          const here = await present(store, name, sources);
          if (here) return here;
          const report = paced(clock, board.publish);
          const work = { store, options, name, sources, size, signal: inner, report };
          return (await adopt(work)) ?? (await fetchFirst(work));
        });
      } finally {
        board.leave();
      }
    },
  };
}

interface Work {
  readonly store: ModelStore;
  readonly options: PullerOptions;
  readonly name: string;
  readonly sources: readonly ModelSource[];
  readonly size: number | undefined;
  readonly signal: AbortSignal;
  readonly report: OnProgress;
}

/** The model as it is, unless its definition meanwhile promises other bytes, or its file was deleted behind our back. */
async function present(store: ModelStore, name: string, sources: readonly ModelSource[]): Promise<StoredModel | null> {
  const model = store.get(name);
  if (!model || (await store.blob(model.sha256)) === null) return null;
  const promised = sources.map(({ sha256 }) => sha256);
  return promised.includes(undefined) || promised.includes(model.sha256) ? model : null;
}

/** Names a file that is here already under a promised digest: another model's, or one whose naming a crash prevented. */
async function adopt({ store, name, sources, signal, report }: Work): Promise<StoredModel | null> {
  for (const source of sources) {
    const blob = source.sha256 === undefined ? null : await store.blob(source.sha256);
    if (!blob) continue;
    let done = 0;
    const { sha256, bytes } = await hashFile(blob.path, signal, (read) => {
      done += read;
      report({ phase: 'verifying', what: name, done, total: blob.bytes, unit: 'bytes' });
    });
    if (sha256 === source.sha256) return store.add(name, blob.path, { sha256, bytes, source: describeSource(source) });
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
        const fetched = await fetchVerified(source, await contextOf(work, http));
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

async function contextOf({ store, options, name, size, signal, report }: Work, http: Http): Promise<SourceContext> {
  const { clock, log, env = process.env, free = freeBytes, write = writeChunk } = options;
  return { folder: await store.partial(name), signal, onProgress: report, clock, log, http, env, free, write, size };
}

/** The source's file, checked against what its definition promises, whatever the source itself has checked. */
async function fetchVerified(source: ModelSource, context: SourceContext): Promise<Fetched> {
  const fetched = await fetchFrom(source, context);
  if (source.sha256 === undefined || fetched.sha256 === source.sha256) return fetched;
  await rm(fetched.path, { force: true });
  throw mismatch(describeSource(source), source.sha256, fetched.sha256);
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
