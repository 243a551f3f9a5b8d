import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiJob, ApiJobEnd, ApiJobOutput } from '#contracts/jobs-api';
import { Fault } from '#kernel/faults';
import { newRunId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { planFolder } from './folder.ts';
import type { FolderAsk } from './folder.ts';
import { followOutput, runFiles } from './output.ts';
import { createPlaces } from './places.ts';
import { endByFault, watchExits } from './process.ts';
import type { JobRecord } from './records.ts';
import { callOff, conduct, unitOfRun } from './run.ts';
import type { JobOrder, Run, RunDeps } from './run.ts';

/** How many runs that have ended are kept, with what they wrote. */
const kept = 50;
/** Milliseconds for a run that a killed platform left to end by itself. */
const leftGraceMs = 2_000;

export interface JobAsk {
  readonly order: JobOrder;
  readonly folder: FolderAsk;
  /** The text of its standard input; null for none. */
  readonly stdin: string | null;
}

/** Tools of the catalogue as bounded runs. */
export interface Jobs {
  /** Resolves when the run is written down; what becomes of it is told by `get`. Throws what is wrong with the folder. */
  start(ask: JobAsk): Promise<ApiJob>;
  /** The newest first. */
  list(): ApiJob[];
  /** Null when there is none of this id. */
  get(id: string): ApiJob | null;
  /** Does nothing to one that has ended. */
  cancel(id: string): void;
  /** All it wrote and writes, until it has ended or the signal aborts. */
  output(id: string, signal: AbortSignal): AsyncIterable<ApiJobOutput>;
  /** The runs that have not ended, in words. */
  underWay(): string[];
  /** Ends the run that is the unit's, and resolves when nothing of it is left. */
  halt(unit: UnitId): Promise<void>;
  /** Ends what an earlier process of the platform left. */
  recover(): Promise<void>;
  /** Ends all of them and takes no more. */
  close(): Promise<void>;
}

export interface JobsOptions extends Omit<RunDeps, 'exits' | 'places'> {
  /** The folder of all runs. */
  readonly dir: string;
  /** The platform's home. */
  readonly home: string;
}

interface Desk extends RunDeps {
  readonly dir: string;
  readonly runs: Map<string, Run>;
  readonly ended: Map<string, JobRecord>;
}

export function createJobs({ dir, home, ...rest }: JobsOptions): Jobs {
  const desk: Desk = {
    ...rest,
    dir,
    exits: watchExits(rest.driver),
    places: createPlaces(),
    runs: new Map(),
    ended: new Map(),
  };
  const { runs, ended, records, clock } = desk;
  for (const record of records.list()) if (record.end) ended.set(record.id, record);
  let closed = false;
  const get = (id: string): ApiJob | null => {
    const run = runs.get(id);
    const record = run?.record ?? ended.get(id);
    return record ? viewOf(record, run) : null;
  };
  return {
    get,
    async start(ask) {
      const { order } = ask;
      const id = newRunId(order.tool);
      const own = join(dir, id);
      const folder = await planFolder(ask.folder, runFiles(own).work, home);
      if (closed) throw new Fault('SHUTTING_DOWN', 'The platform is stopping.');
      const { tool, args, principal, model, limits } = order;
      const record: JobRecord = {
        ...{ id, tool, args, principal, model, limits, folder: { kind: folder.kind, path: folder.path } },
        ...{ createdAt: new Date(clock.wall()).toISOString(), startedAt: null, endedAt: null },
        ...{ peakBytes: null, end: null, handle: null },
      };
      const run: Run = {
        ...{ record, order, folder, dir: own, hasInput: ask.stdin !== null, abort: new AbortController() },
        ...{ state: 'preparing', progress: null, measuredBytes: null, done: Promise.resolve() },
      };
      runs.set(id, run);
      const laidOut = layOut(run, ask.stdin, desk);
      // Known from the first moment: who closes meanwhile waits for it.
      run.done = laidOut.then(
        () => see(run, desk),
        () => undefined,
      );
      try {
        await laidOut;
      } catch (error) {
        runs.delete(id);
        await rm(own, { recursive: true, force: true });
        throw error;
      }
      return viewOf(record, run);
    },
    list: () =>
      [
        ...[...runs.values()].map((run) => viewOf(run.record, run)),
        ...[...ended.values()].map((one) => viewOf(one)),
      ].sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1)),
    cancel(id) {
      const run = runs.get(id);
      if (run) callOff(run, 'cancelled', 'It was cancelled.');
    },
    output: (id, signal) => followOutput(join(dir, id), { clock, signal, isOver: () => !runs.has(id) }),
    underWay: () => [...runs.values()].map(({ record, state }) => `the run ${record.id} is ${state}`),
    async halt(unit) {
      for (const run of runs.values()) {
        if (unitOfRun(run.record.id) !== unit) continue;
        callOff(run, 'cancelled', 'Its unit was stopped.');
        await run.done;
      }
    },
    recover: () => recover(desk),
    async close() {
      closed = true;
      for (const run of runs.values()) callOff(run, 'shutdown', 'The platform was stopped.');
      await Promise.all([...runs.values()].map(({ done }) => done));
      desk.exits.close();
    },
  };
}

/** For the owner alone, as logs are: prompts and answers are in it. */
async function layOut({ dir, record }: Run, stdin: string | null, { records }: Desk): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  if (stdin !== null) await writeFile(runFiles(dir).stdin, stdin, { mode: 0o600 });
  records.put(record);
}

/** Sees a run to its end. Never rejects. */
async function see(run: Run, desk: Desk): Promise<void> {
  const end = await conduct(run, desk).catch((error: unknown) =>
    // What it was called off for, whatever that made of what was under way.
    endByFault(run.abort.signal.aborted ? run.abort.signal.reason : error),
  );
  close(run, end, desk);
  await rm(runFiles(run.dir).temporary, { recursive: true, force: true }).catch((error: unknown) =>
    desk.log.warn('temporary files of a run could not be removed', { id: run.record.id, error: String(error) }),
  );
  await prune(desk).catch((error: unknown) =>
    desk.log.warn('runs that have ended could not be removed', { error: String(error) }),
  );
}

function close(run: Run, end: ApiJobEnd, { runs, clock, log, ...desk }: Desk): void {
  run.record = { ...run.record, end, endedAt: new Date(clock.wall()).toISOString(), handle: null };
  const { id, tool } = run.record;
  run.state = 'ended';
  keep(run.record, { log, ...desk });
  runs.delete(id);
  log.info('a run has ended', { id, tool, reason: end.reason, code: end.code });
}

function keep(record: JobRecord, { ended, records, log }: Pick<Desk, 'ended' | 'records' | 'log'>): void {
  ended.set(record.id, record);
  try {
    records.put(record);
  } catch (error) {
    // The disk may be full: the next process finds that nothing of it runs.
    log.error('the end of a run could not be written', { id: record.id, error: String(error) });
  }
}

/** The oldest go, with all that was made for them. */
async function prune({ dir, ended, records }: Desk): Promise<void> {
  const oldest = [...ended.values()].sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1)).slice(kept);
  for (const { id } of oldest) {
    ended.delete(id);
    await rm(join(dir, id), { recursive: true, force: true });
    records.delete(id);
  }
}

/**
 * Nobody reads the exit code of a process that an earlier platform started, and its key went with that: it is ended, with all it
 * started. A folder without a record is what is left of one that was being begun or removed.
 */
async function recover(desk: Desk): Promise<void> {
  const { records, driver, log, clock, dir } = desk;
  const message = 'The platform ended while it ran.';
  for (const record of records.list()) {
    if (record.end) continue;
    const endedAt = new Date(clock.wall()).toISOString();
    try {
      const left = await leftOf(record, driver);
      if (left) await driver.stop(left, leftGraceMs);
    } catch (error) {
      log.error('a run of before the restart could not be ended', { id: record.id, error: String(error) });
    }
    keep({ ...record, handle: null, endedAt, end: { reason: 'interrupted', code: null, signal: null, message } }, desk);
    log.info('ended a run of before the restart', { id: record.id });
  }
  await mkdir(dir, { recursive: true, mode: 0o700 });
  for (const name of await readdir(dir)) {
    if (!desk.ended.has(name)) await rm(join(dir, name), { recursive: true, force: true });
  }
}

const leftOf = async ({ id, handle, instance }: JobRecord, driver: RunDeps['driver']) =>
  handle ?? (instance === undefined ? null : await driver.find?.(instance, unitOfRun(id)));

function viewOf(record: JobRecord, run?: Run): ApiJob {
  const { peakBytes, handle: _process, instance: _instance, ...facts } = record;
  return {
    ...facts,
    state: run?.state ?? 'ended',
    progress: run?.progress ?? null,
    bytes: { measured: run?.measuredBytes ?? null, peak: peakBytes },
  };
}
