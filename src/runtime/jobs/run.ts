import { mkdir } from 'node:fs/promises';
import type { ApiJob, ApiJobEnd, ApiJobEndReason } from '#contracts/jobs-api';
import { newInstanceId, newSecret, unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Blueprint } from '../blueprint.ts';
import { instanceSpec } from '../launch.ts';
import type { Environments, LaunchPlace } from '../launch.ts';
import { makeFolder } from './folder.ts';
import type { FolderPlan } from './folder.ts';
import { runFiles } from './output.ts';
import type { Places } from './places.ts';
import { calledOff, runProcess } from './process.ts';
import type { ProcessDeps } from './process.ts';
import type { JobRecord, JobRecords } from './records.ts';

/** What a run is made of, as its definition, the configuration and whoever asked for it say. */
export interface JobOrder {
  readonly tool: string;
  readonly args: readonly string[];
  readonly principal: string;
  readonly model: string | null;
  readonly limits: ApiJob['limits'];
  /** How many runs of the tool there may be at once. */
  readonly concurrency: number;
  /** What its key may. */
  readonly scopes: readonly string[];
  readonly blueprint: (unit: UnitId) => Blueprint;
}

/** What the rest of the platform does for runs. */
export interface JobWorld {
  /** Has its memory reserved. Resolves with what gives it back, once its process is gone. */
  admit(unit: UnitId, order: JobOrder, signal: AbortSignal): Promise<() => void>;
  /** Makes ready what it stands on, until `withdraw`. Resolves with what it is told of that, as values for placeholders. */
  needs(unit: UnitId, signal: AbortSignal): Promise<Readonly<Record<string, string>>>;
  /** From here on the key is good, for what the order says. */
  mint(unit: UnitId, order: JobOrder, key: string): void;
  /** The key is void, and what it stood on is let go. Also where there is none. */
  withdraw(unit: UnitId): void;
  measured(unit: UnitId, bytes: number): void;
}

export interface RunDeps extends ProcessDeps {
  readonly world: JobWorld;
  readonly environments: Environments;
  readonly records: JobRecords;
  readonly places: Places;
  readonly place: () => Omit<LaunchPlace, 'logFile'>;
  readonly host: string;
}

/** A run that has not ended. */
export interface Run {
  record: JobRecord;
  state: ApiJob['state'];
  progress: ApiJob['progress'];
  measuredBytes: number | null;
  readonly order: JobOrder;
  readonly folder: FolderPlan;
  /** Its own folder, with its output. */
  readonly dir: string;
  readonly hasInput: boolean;
  readonly abort: AbortController;
  /** Resolves when it has ended and is written down. */
  done: Promise<void>;
}

export const unitOfRun = (id: string): UnitId => unitId('job', id);

export function callOff(run: Run, reason: ApiJobEndReason, message: string): void {
  if (run.abort.signal.aborted) return;
  if (run.state !== 'ended') run.state = 'stopping';
  run.abort.abort(calledOff(reason, message));
}

/**
 * In this order: its environment and its folder, which cost no memory; its turn among the runs of the same tool; its memory; what
 * it needs; a key; the process. Each is given back in the opposite order, however far it came.
 */
export async function conduct(run: Run, deps: RunDeps): Promise<ApiJobEnd> {
  const { order, abort } = run;
  const { signal } = abort;
  const unit = unitOfRun(run.record.id);
  const blueprint = order.blueprint(unit);
  const environment = await deps.environments.ensure(blueprint.run, {
    signal,
    onProgress: ({ phase, what, done, total }) =>
      (run.progress = { phase, what, ...(total ? { percent: Math.min(100, Math.round((100 * done) / total)) } : {}) }),
  });
  run.progress = null;
  await makeFolder(run.folder, signal);
  await mkdir(runFiles(run.dir).temporary, { recursive: true, mode: 0o700 });
  enter(run, 'queued');
  const leave = await deps.places.take(order.tool, order.concurrency, signal);
  try {
    const release = await deps.world.admit(unit, order, signal);
    try {
      const wired = await deps.world.needs(unit, signal);
      const told = { ...blueprint, values: { ...wired, ...blueprint.values } };
      return await withKey(run, told, environment, deps);
    } finally {
      deps.world.withdraw(unit);
      release();
    }
  } finally {
    leave();
  }
}

async function withKey(
  run: Run,
  blueprint: Blueprint,
  environment: Parameters<typeof instanceSpec>[2],
  deps: RunDeps,
): Promise<ApiJobEnd> {
  const { order, record, dir } = run;
  const { unit } = blueprint;
  const files = runFiles(dir);
  const startedAt = new Date(deps.clock.wall()).toISOString();
  const key = newSecret('sutaz-j-');
  const identity = { id: newInstanceId(), unit, handle: null, host: deps.host, port: 0, key, startedAt };
  const working: Blueprint = {
    ...{ ...blueprint, args: order.args },
    work: { path: run.folder.path, isOwn: run.folder.kind !== 'place', temporary: files.temporary },
    values: { ...blueprint.values, folder: run.folder.path, ...(order.model !== null && { model: order.model }) },
  };
  const place = { ...deps.place(), logFile: files.stdout };
  const spec = await instanceSpec(working, identity, environment, place, order.limits.memoryBytes);
  // Before there is a process: a platform that dies with its start finds it again.
  run.record = { ...record, instance: identity.id };
  deps.records.put(run.record);
  deps.world.mint(unit, order, key);
  const input = run.hasInput ? { inputFile: files.stdin } : {};
  const watched = {
    signal: run.abort.signal,
    callOff: (reason: ApiJobEndReason, message: string) => callOff(run, reason, message),
    begun(handle: NonNullable<JobRecord['handle']>) {
      enter(run, 'running');
      run.record = { ...run.record, startedAt, handle };
      deps.records.put(run.record);
    },
    measured(bytes: number) {
      run.measuredBytes = bytes;
      run.record = { ...run.record, peakBytes: Math.max(run.record.peakBytes ?? 0, bytes) };
      deps.world.measured(unit, bytes);
    },
  };
  const bounds = { ...order.limits, graceMs: blueprint.stopGraceMs };
  return runProcess({ ...spec, errorFile: files.stderr, ...input }, bounds, watched, deps);
}

/** What is being called off stays so. */
function enter(run: Run, state: ApiJob['state']): void {
  if (!run.abort.signal.aborted) run.state = state;
}
