import type { ExitedStatus, InstanceHandle, InstanceStatus } from '#contracts/runtime';
import { deadline, sleep } from '#kernel/abort';
import { Fault, toFault } from '#kernel/faults';
import { parseUnitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import { formatBytes } from '#kernel/quantities';
import { createErrands } from './errands.ts';
import type { Errands } from './errands.ts';
import { look } from './health.ts';
import type { Failure, Instance, Running, Starting } from './instance.ts';
import type { InstanceRecord } from './records.ts';
import { endLeft } from './leftovers.ts';
import { launch } from './start.ts';
import type { StartDeps } from './start.ts';
import { takeOver } from './takeover.ts';
import { removeTemporaries } from './temporary.ts';
import { createTurns } from './turns.ts';
import { askWeight } from './weight.ts';

export interface SupervisorOptions extends Omit<StartDeps, 'host'> {
  readonly log: Logger;
  readonly host?: string;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly key: string;
}

type Frozen = Extract<Instance, { state: 'frozen' }>;

/** Carries out what the scheduler decides, one instance a unit. Each call returns at once; `Outcomes` tells the end. */
export interface Supervisor {
  start(unit: UnitId, memoryBytes: number): void;
  stop(unit: UnitId): void;
  freeze(unit: UnitId): void;
  thaw(unit: UnitId): void;
  /** Takes over what an earlier process left, and ends what nobody knows any more. Returns the units that run. */
  recover(known: (unit: UnitId) => boolean): Promise<{ readonly unit: UnitId; readonly frozen: boolean }[]>;
  /** Null unless it runs. */
  endpoint(unit: UnitId): Endpoint | null;
  record(unit: UnitId): InstanceRecord | null;
  /** What a start is doing, while it does it. */
  starting(unit: UnitId): Pick<Starting, 'percent' | 'what'> | null;
  failure(unit: UnitId): Failure | null;
  /** Measures every instance and bounds its log; one that is frozen, and changes little, only now and then. */
  survey(): Promise<void>;
  /** Resolves when what was asked for of one unit until now has ended. */
  settled(unit: UnitId): Promise<void>;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
  /** Waits for what is under way. Instances live on: the next process takes them over. */
  close(): Promise<void>;
}

/** Everything the operations below share: one writer, this file. */
interface Floor extends StartDeps {
  readonly log: Logger;
  readonly instances: Map<UnitId, Instance>;
  readonly failures: Map<UnitId, Failure>;
  /** The newest start of each unit, so that a stop can reach one that still waits for its turn. */
  readonly starts: Map<UnitId, AbortController>;
  /** What is done for frozen ones. */
  readonly errands: Errands;
  /** Units that the platform began without knowing what had become of their instances. */
  readonly lost: Set<UnitId>;
  /** Units whose last look at them failed. */
  readonly unseen: Set<UnitId>;
}

export function createSupervisor({ log, host = '127.0.0.1', ...deps }: SupervisorOptions): Supervisor {
  const onError = (unit: UnitId, error: unknown) =>
    log.error('an instance operation failed', { unit, error: String(error) });
  const errands = createErrands(onError);
  const floor: Floor = {
    ...{ ...deps, log, host, errands, instances: new Map(), failures: new Map(), starts: new Map() },
    ...{ lost: new Set(), unseen: new Set() },
  };
  const { driver, instances } = floor;
  const temporaries = removeTemporaries(driver, deps.place().home, log);
  const turns = createTurns(onError);
  const buryLater = (record: Running, status: ExitedStatus) =>
    turns.take(record.unit, () => bury(floor, record, status));
  const unlisten = driver.onExit((handle, status) => {
    const instance = instances.get(handle.unit);
    if (instance?.state === 'starting' && instance.handle?.id === handle.id) {
      instance.abort.abort(new Fault('START_FAILED', `while it started it ${howItEnded(status)}`));
    } else if (instance && 'record' in instance && instance.record.id === handle.id) {
      buryLater(instance.record, status);
    }
  });
  const running = (unit: UnitId): Running | null => {
    const instance = instances.get(unit);
    return instance && 'record' in instance ? instance.record : null;
  };
  return {
    start(unit, memoryBytes) {
      const abort = new AbortController();
      floor.starts.set(unit, abort);
      turns.take(unit, () => start(floor, unit, memoryBytes, abort));
    },
    stop(unit) {
      floor.starts.get(unit)?.abort(calledOff);
      errands.callOff(unit);
      turns.take(unit, () => stop(floor, unit));
    },
    freeze: (unit) => turns.take(unit, () => change(floor, unit, 'frozen')),
    thaw(unit) {
      errands.callOff(unit);
      turns.take(unit, () => change(floor, unit, 'running'));
    },
    async recover(known) {
      const found = await recover(floor, known);
      await temporaries.sweep(new Set(floor.records.list().map(({ id }) => id)));
      return found;
    },
    endpoint: (unit) => (instances.get(unit)?.state === 'running' ? running(unit) : null),
    record: running,
    starting(unit) {
      const instance = instances.get(unit);
      return instance?.state === 'starting' ? instance : null;
    },
    failure: (unit) => floor.failures.get(unit) ?? null,
    async survey() {
      for (const unit of floor.lost) turns.take(unit, () => endLost(floor, unit));
      await Promise.all([...instances.keys()].map((unit) => measure(floor, unit, buryLater)));
    },
    settled: turns.settled,
    async idle() {
      await turns.idle();
      await errands.idle();
    },
    async close() {
      unlisten();
      await turns.idle();
      for (const unit of instances.keys()) errands.callOff(unit);
      await errands.idle();
      await temporaries.close();
    },
  };
}

async function recover(floor: Floor, known: (unit: UnitId) => boolean): ReturnType<Supervisor['recover']> {
  const healthy = (record: Running) => isHealthy(floor, record);
  const found = await Promise.all(
    floor.records.list().map((one) =>
      takeOver(one, known, healthy, floor).catch((error: unknown) => {
        // One row that cannot be read, or one process that will not end, must not keep the platform from starting.
        floor.log.error('an instance of before the restart could not be taken over', {
          unit: one.unit,
          error: String(error),
        });
        floor.lost.add(one.unit);
        return null;
      }),
    ),
  );
  return found.flatMap((one) => {
    if (!one) return [];
    const { record, state } = one;
    floor.instances.set(record.unit, state === 'frozen' ? { state, record, lookAt: -Infinity } : { state, record });
    floor.outcomes.begun(one.record);
    return [{ unit: one.record.unit, frozen: one.state === 'frozen' }];
  });
}

async function start(floor: Floor, unit: UnitId, memoryBytes: number, abort: AbortController): Promise<void> {
  const starting: Starting = { state: 'starting', abort, handle: null };
  floor.instances.set(unit, starting);
  let isAlone = false;
  try {
    await endLeft(unit, floor);
    isAlone = true;
    floor.lost.delete(unit);
    const record = await launch(unit, memoryBytes, starting, floor);
    floor.instances.set(unit, { state: 'running', record });
    floor.failures.delete(unit);
    floor.outcomes.started(unit);
  } catch (error) {
    forget(floor, unit, starting.handle ? await end(floor, starting.handle, 2_000) : isAlone);
    // The stop that called it off tells of the end itself.
    if (abort.signal.reason === calledOff) return;
    const fault = toFault(error);
    const message = await remember(floor, unit, fault.message, starting.handle !== null);
    floor.outcomes.failed(unit, message, permanent.has(fault.code));
  } finally {
    if (floor.starts.get(unit) === abort) floor.starts.delete(unit);
  }
}

async function stop(floor: Floor, unit: UnitId): Promise<void> {
  const instance = floor.instances.get(unit);
  if (instance && 'record' in instance) {
    floor.instances.set(unit, { state: 'stopping' });
    const grace = await floor.blueprint(unit).then(
      ({ stopGraceMs }) => stopGraceMs,
      // Its definition is gone: then so is what it said of this.
      () => 5_000,
    );
    forget(floor, unit, await end(floor, instance.record.handle, grace));
  }
  floor.outcomes.stopped(unit);
}

async function change(floor: Floor, unit: UnitId, to: 'frozen' | 'running'): Promise<void> {
  const instance = floor.instances.get(unit);
  if (!instance || !('record' in instance)) return;
  const { record } = instance;
  // Asked for while it was being frozen, a thaw has found nothing to call off yet.
  floor.errands.callOff(unit);
  try {
    const act = to === 'frozen' ? floor.driver.freeze : floor.driver.thaw;
    if (!act) throw new Fault('NOT_SUPPORTED', 'its driver cannot freeze');
    await act.call(floor.driver, record.handle);
    if (to === 'running') {
      floor.instances.set(unit, { state: to, record });
      return floor.outcomes.thawed(unit);
    }
    const frozen = { state: to, record, lookAt: floor.clock.now() + frozenLookMs };
    floor.instances.set(unit, frozen);
    floor.outcomes.frozen(unit);
    floor.errands.run(unit, (signal) => settle(floor, frozen, signal));
  } catch (error) {
    // Half frozen is neither: it is ended, and the next request starts it anew.
    forget(floor, unit, await end(floor, record.handle, 2_000));
    floor.outcomes.exited(unit, toFault(error).message);
  }
}

/**
 * A frozen instance counts for what it holds, so that is told at once. Then the system may take back of it what it can:
 * it is not needed for now, and a thaw calls this off.
 */
async function settle(floor: Floor, instance: Frozen, signal: AbortSignal): Promise<void> {
  const { handle } = instance.record;
  const tell = async (): Promise<number> => {
    const status = await floor.driver.inspect(handle);
    if (floor.instances.get(handle.unit) !== instance || status.state === 'exited') return 0;
    floor.outcomes.measured(handle.unit, status.memoryBytes);
    return status.memoryBytes;
  };
  const bytes = await tell();
  if (bytes === 0 || signal.aborted || !floor.driver.reclaim) return;
  if ((await floor.driver.reclaim(handle, bytes, signal)) > 0) await tell();
}

/** An instance ended by itself: what it left behind (workers, a child that outlived it) goes with it. */
async function bury(floor: Floor, record: Running, status: ExitedStatus): Promise<void> {
  const { unit, handle } = record;
  const instance = floor.instances.get(unit);
  // A stop or another end came first.
  if (!instance || !('record' in instance) || instance.record.id !== record.id) return;
  forget(floor, unit);
  await end(floor, handle, 0);
  const message = await remember(floor, unit, howItEnded(status), true);
  floor.outcomes.exited(unit, message);
}

/** Milliseconds between tries to end an instance that its driver could not end. */
const tryAgainMs = 1_000;

/**
 * Ends an instance for good. A driver that fails at it is asked again a few times; then the platform goes on as if it
 * had, and says so in its log: a unit that stops for ever would keep its bytes from everyone else. False then.
 */
async function end(floor: Floor, handle: InstanceHandle, graceMs: number): Promise<boolean> {
  for (let left = 3; ; left--) {
    try {
      await floor.driver.stop(handle, graceMs);
      return true;
    } catch (error) {
      floor.log.error('an instance could not be ended', { unit: handle.unit, error: String(error), triesLeft: left });
      if (left === 0) return false;
      await sleep(floor.clock, tryAgainMs);
    }
  }
}

/** Milliseconds between looks at a frozen instance: it touches nothing, only the system takes of it. */
const frozenLookMs = 30_000;

/** What ended unheard, between its recovery and its entry here, is found by its status. */
async function measure(
  floor: Floor,
  unit: UnitId,
  onExited: (record: Running, status: ExitedStatus) => void,
): Promise<void> {
  const instance = floor.instances.get(unit);
  if (!instance || !('record' in instance)) return;
  if (instance.state === 'frozen') {
    if (floor.clock.now() < instance.lookAt) return;
    instance.lookAt = floor.clock.now() + frozenLookMs;
  }
  await floor.logs.bound(unit);
  const status = await inspect(floor, instance.record);
  if (!status) return;
  const elsewhere = status.state === 'running' ? await weightElsewhere(floor, instance.record) : 0;
  if (floor.instances.get(unit) !== instance) return;
  if (status.state === 'exited') onExited(instance.record, status);
  else if (elsewhere !== null) floor.outcomes.measured(unit, status.memoryBytes + elsewhere);
}

/** Null while its driver cannot say, which is told once and leaves the others alone. */
async function inspect({ driver, unseen, log }: Floor, { unit, handle }: Running): Promise<InstanceStatus | null> {
  try {
    const status = await driver.inspect(handle);
    unseen.delete(unit);
    return status;
  } catch (error) {
    if (!unseen.has(unit)) log.warn('an instance cannot be looked at', { unit, error: toFault(error).message });
    unseen.add(unit);
    return null;
  }
}

/** Tried with each survey: whoever asks for the unit meanwhile ends it at its start. */
async function endLost(floor: Floor, unit: UnitId): Promise<void> {
  if (!floor.lost.has(unit)) return;
  await endLeft(unit, floor).then(
    () => floor.lost.delete(unit),
    (error: unknown) =>
      floor.log.debug('an instance of before the restart is not ended yet', { unit, error: String(error) }),
  );
}

/** What it takes outside of its own processes, by its own word; null when it does not say, so that the last word holds. */
async function weightElsewhere(floor: Floor, { unit, host, port, weight }: Running): Promise<number | null> {
  if (weight === undefined) return 0;
  try {
    return await askWeight(weight, { host, port });
  } catch (error) {
    floor.log.debug('what a unit takes elsewhere is not known', { unit, error: String(error) });
    return null;
  }
}

/** The record of one that could not be ended stays, so that the next start, or the next platform, does so. */
function forget(floor: Floor, unit: UnitId, ended = true): void {
  floor.instances.delete(unit);
  floor.errands.callOff(unit);
  try {
    if (ended) floor.records.delete(unit);
  } catch (error) {
    // The disk may be full. The end is told all the same; the next process finds nothing of what the row names.
    floor.log.error('the record of an instance could not be removed', { unit, error: String(error) });
  }
  floor.outcomes.ended(unit);
}

/** Keeps a failure with the last lines of the log; returns it as one sentence. */
async function remember(floor: Floor, unit: UnitId, what: string, logged: boolean): Promise<string> {
  const log = logged ? await floor.logs.last(unit, 12).catch(() => []) : [];
  const last = log.at(-1)?.trim();
  const message = last ? `${what}: ${last}` : what;
  floor.failures.set(unit, { message, log });
  return message;
}

/** Milliseconds in which an instance of before the restart must answer. */
const lookMs = 10_000;

async function isHealthy(floor: Floor, record: Running): Promise<boolean> {
  const limit = deadline(floor.clock, lookMs, 'health');
  try {
    const { health } = await floor.blueprint(record.unit);
    return (await look(health, { ...record, logFile: floor.logs.file(record.unit) }, limit.signal)).ok;
  } catch {
    // It cannot even be described any more: then it cannot be kept.
    return false;
  } finally {
    limit.clear();
  }
}

/** The reason with which a stop aborts a start: not a failure of the start. */
const calledOff = new Fault('CANCELLED', 'The start was called off.');

/** Starting again cannot mend these: the definition or the machine must change. */
const permanent: ReadonlySet<string> = new Set(['BAD_REQUEST', 'NOT_FOUND', 'NOT_SUPPORTED']);

function howItEnded(status: ExitedStatus): string {
  const { circumstance } = status;
  return circumstance === undefined ? endOf(status) : `${endOf(status)} ${circumstance}`;
}

function endOf({ code, signal, oomKilled, limitBytes }: ExitedStatus): string {
  if (oomKilled && limitBytes !== undefined) {
    return `was killed by the kernel for lack of memory: it wanted more than its limit of ${formatBytes(limitBytes)} (${limitBytes} bytes)`;
  }
  if (oomKilled) return 'was killed by the kernel for lack of memory';
  if (signal) return `was ended by ${signal}`;
  return code === null ? 'ended for an unknown reason' : `ended with exit code ${code}`;
}

/** `service/chroma` -> `service-chroma.log`; a model's colon is not a character of file names everywhere. */
export const logFileName = (unit: UnitId): string => {
  const { kind, name } = parseUnitId(unit);
  return `${kind}-${name.replaceAll(':', '_')}.log`;
};
