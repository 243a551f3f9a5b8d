import type { InstanceSpec, RuntimeDriver } from '#contracts/runtime';
import { deadline, throwIfAborted } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { Fault, toFault } from '#kernel/faults';
import { newInstanceId, newSecret } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { formatDuration } from '#kernel/quantities';
import type { Blueprint } from './blueprint.ts';
import { isOnPath } from './environments/programs.ts';
import { untilHealthy } from './health.ts';
import type { Target } from './health.ts';
import type { InstanceLogs, Outcomes, Running, Starting } from './instance.ts';
import { instanceSpec } from './launch.ts';
import type { Environment, Environments, LaunchPlace } from './launch.ts';
import type { Ports } from './ports.ts';
import type { InstanceRecord, Records } from './records.ts';
import { removeTemporary, temporaryOf } from './temporary.ts';

export interface StartDeps {
  readonly driver: RuntimeDriver;
  readonly environments: Environments;
  readonly records: Records;
  readonly ports: Ports;
  readonly logs: InstanceLogs;
  readonly outcomes: Outcomes;
  /**
   * How to run a unit; throws when its definition is gone or unusable. With a signal it may take its time to get what is
   * missing; without one it never does: a stop must not wait for a download.
   */
  readonly blueprint: (unit: UnitId, signal?: AbortSignal) => Promise<Blueprint>;
  /** Makes ready what the unit stands on; `outcomes.ended` lets it go again. */
  readonly needs: (unit: UnitId, signal: AbortSignal) => Promise<void>;
  /** What it is told of what it consumes. Asked for once that is ready. */
  readonly wired: (unit: UnitId, signal: AbortSignal) => Promise<Wired>;
  readonly place: () => Omit<LaunchPlace, 'logFile'>;
  readonly clock: Clock;
  readonly host: string;
}

/** What an instance is told of what it consumes. */
export interface Wired {
  /** By placeholder. */
  readonly values: Readonly<Record<string, string>>;
  /** The ports that are part of them, by whose they are. */
  readonly told: Readonly<Record<UnitId, number>>;
}

/**
 * Brings an instance up, in this order: what it needs, its environment, a port and a key, the record (so that a platform that dies now
 * knows of it later), the process, its health. Throws when any of them fails or the start is aborted; the caller then
 * ends the process and removes the record.
 */
export async function launch(unit: UnitId, memoryBytes: number, starting: Starting, deps: StartDeps): Promise<Running> {
  const { signal } = starting.abort;
  throwIfAborted(signal);
  const drawn = await deps.blueprint(unit, signal);
  await mustHave(drawn.run.requires ?? {});
  await withinNeeds(unit, signal, deps);
  const { values, told } = await deps.wired(unit, signal);
  const blueprint = { ...drawn, values: { ...values, ...drawn.values } };
  const environment = await deps.environments.ensure(blueprint.run, {
    signal,
    onProgress: ({ what }) => (starting.what = what),
  });
  const record: InstanceRecord = {
    id: newInstanceId(),
    unit,
    handle: null,
    host: deps.host,
    port: await deps.ports.take(unit, deps.host),
    key: newSecret('sutaz-i-'),
    startedAt: new Date(deps.clock.wall()).toISOString(),
    ...(blueprint.weight !== undefined && { weight: blueprint.weight }),
    ...(environment && { environment: environment.id }),
    ...(Object.keys(told).length > 0 && { told }),
  };
  try {
    return await runAs(record, blueprint, environment, memoryBytes, starting, deps);
  } catch (error) {
    if (toFault(error).code !== 'CANCELLED') deps.ports.forget(unit);
    // The end of one that began is told by its driver. What cannot be removed now the next platform sweeps: why it failed is told.
    if (!starting.handle) await removeTemporary(temporaryOf(deps.place().home, record.id)).catch(() => undefined);
    throw error;
  }
}

async function runAs(
  record: InstanceRecord,
  blueprint: Blueprint,
  environment: Environment | null,
  memoryBytes: number,
  starting: Starting,
  deps: StartDeps,
): Promise<Running> {
  const { unit } = record;
  const { signal } = starting.abort;
  const logFile = deps.logs.file(unit);
  const spec = await instanceSpec(blueprint, record, environment, { ...deps.place(), logFile }, memoryBytes);
  const logFrom = await deps.logs.size(unit);
  throwIfAborted(signal);
  const confined = confinedBy(spec, deps.driver);
  const noted = { ...record, ...(confined && { confined }) };
  deps.records.put(noted);
  deps.outcomes.begun(noted);
  const handle = await deps.driver.start(spec, signal);
  starting.handle = handle;
  const running: Running = { ...noted, handle };
  deps.records.put(running);
  // One that ended before anyone could listen is not waited for.
  const status = await deps.driver.inspect(handle);
  if (status.state === 'exited') throw new Fault('START_FAILED', 'it ended at once');
  await untilUp(blueprint, { ...running, logFile, logFrom }, starting, deps.clock);
  // Its end or its stop may have come while the last look found it well.
  throwIfAborted(signal);
  return running;
}

/** What holds of what its spec says. */
const confinedBy = ({ confine }: InstanceSpec, { traits }: RuntimeDriver): InstanceRecord['confined'] =>
  confine && { user: confine.user?.uid ?? null, files: confine.files !== undefined && traits.boundsFiles === true };

/** A machine that lacks a program is told of by what a person can do about it. */
async function mustHave(programs: Readonly<Record<string, string>>): Promise<void> {
  for (const [program, remedy] of Object.entries(programs)) {
    if (await isOnPath(program, process.env.PATH)) continue;
    throw new Fault('NOT_SUPPORTED', `${program} is not on this machine. To have it: ${remedy}.`);
  }
}

/** Milliseconds in which what a unit needs must be ready; the unit's own memory is held meanwhile. */
const needsMs = 180_000;

async function withinNeeds(unit: UnitId, signal: AbortSignal, { needs, clock }: StartDeps): Promise<void> {
  const limit = deadline(clock, needsMs, `what ${unit} needs was not ready within ${formatDuration(needsMs)}`, signal);
  try {
    await needs(unit, limit.signal);
  } finally {
    limit.clear();
  }
}

/** Waits for health, at most as long as the definition allows. */
async function untilUp(
  { health, startupTimeoutMs }: Blueprint,
  target: Target,
  starting: Starting,
  clock: Clock,
): Promise<void> {
  let last = 'it never answered';
  const limit = deadline(clock, startupTimeoutMs, 'startup', starting.abort.signal);
  try {
    await untilHealthy(health, target, {
      clock,
      signal: limit.signal,
      onLook(seen) {
        if (seen.ok) return;
        last = seen.why;
        if (seen.percent !== undefined) starting.percent = seen.percent;
      },
    });
  } catch (error) {
    if (starting.abort.signal.aborted) throw error;
    const message = `it was not healthy within ${formatDuration(startupTimeoutMs)}: ${last}`;
    throw new Fault('START_FAILED', message, { cause: error });
  } finally {
    limit.clear();
  }
}
