import { stat } from 'node:fs/promises';
import type { ApiJobEnd, ApiJobEndReason } from '#contracts/jobs-api';
import type { ExitedStatus, InstanceHandle, InstanceSpec, RuntimeDriver } from '#contracts/runtime';
import { sleep } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { Fault, toFault } from '#kernel/faults';
import type { InstanceId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import { formatBytes, formatDuration } from '#kernel/quantities';
import { repeat } from '#kernel/repeat';

/** Milliseconds between looks at what a run weighs and has written. */
const lookMs = 500;
/** Bytes that a run may write to either stream: its output is kept on disk, and one that never ends would fill that. */
export const mostOutput = 64 * 2 ** 20;
/** Milliseconds between tries to end a process that its driver could not end; and how many. */
const againMs = 1_000;
const tries = 3;

export interface ProcessDeps {
  readonly driver: RuntimeDriver;
  readonly exits: Exits;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Bounds {
  readonly timeMs: number;
  readonly memoryBytes: number;
  /** Milliseconds between the request to end and the kill. */
  readonly graceMs: number;
}

export interface Watched {
  /** Aborted, it is ended, with the reason that `callOff` gave. */
  readonly signal: AbortSignal;
  readonly callOff: (reason: ApiJobEndReason, message: string) => void;
  readonly begun: (handle: InstanceHandle) => void;
  readonly measured: (bytes: number) => void;
}

/** The reason with which a run is called off. */
export const calledOff = (reason: ApiJobEndReason, message: string): Fault =>
  new Fault('CANCELLED', message, { details: { reason } });

/** The ends of processes by their ids; one may end before its start has been told. */
export interface Exits {
  /** To be asked before the start. */
  of(id: InstanceId): Promise<ExitedStatus>;
  forget(id: InstanceId): void;
  close(): void;
}

export function watchExits(driver: Pick<RuntimeDriver, 'onExit'>): Exits {
  const awaited = new Map<InstanceId, PromiseWithResolvers<ExitedStatus>>();
  const close = driver.onExit(({ id }, status) => awaited.get(id)?.resolve(status));
  return {
    of(id) {
      const end = Promise.withResolvers<ExitedStatus>();
      awaited.set(id, end);
      return end.promise;
    },
    forget: (id) => void awaited.delete(id),
    close,
  };
}

/** Runs one process to its end, within its bounds. Nothing it started is left when this resolves or throws. */
export async function runProcess(
  spec: InstanceSpec,
  bounds: Bounds,
  watched: Watched,
  deps: ProcessDeps,
): Promise<ApiJobEnd> {
  const { driver, exits, clock, log } = deps;
  const { signal, callOff } = watched;
  const exit = exits.of(spec.id);
  try {
    const handle = await driver.start(spec, signal);
    await told(handle, watched, deps);
    const stopped = untilStopped(handle, bounds.graceMs, signal, deps);
    const cancelTimer = clock.after(bounds.timeMs, () =>
      callOff('time', `It took longer than its limit of ${formatDuration(bounds.timeMs)}.`),
    );
    const stopLooking = repeat(
      clock,
      lookMs,
      () => look(spec, handle, bounds, watched, driver),
      (error) => log.warn('a look at a run failed', { unit: spec.unit, error: String(error) }),
    );
    try {
      return endOf(await Promise.race([exit, stopped.promise]), signal);
    } finally {
      cancelTimer();
      stopLooking();
      stopped.stop();
    }
  } finally {
    exits.forget(spec.id);
  }
}

/** Says that it has begun. Where that fails, as on a full disk, nobody would know of it: it is ended. */
async function told(handle: InstanceHandle, { begun }: Watched, deps: ProcessDeps): Promise<void> {
  try {
    begun(handle);
  } catch (error) {
    await ended(handle, 0, deps);
    throw error;
  }
}

async function look(
  { logFile, errorFile = logFile }: InstanceSpec,
  handle: InstanceHandle,
  { memoryBytes }: Bounds,
  { measured, callOff }: Watched,
  driver: RuntimeDriver,
): Promise<void> {
  const status = await driver.inspect(handle);
  if (status.state === 'exited') return;
  measured(status.memoryBytes);
  if (status.memoryBytes > memoryBytes) {
    callOff('memory', `It used ${formatBytes(status.memoryBytes)}, and its limit is ${formatBytes(memoryBytes)}.`);
  }
  for (const file of [logFile, errorFile]) {
    const { size } = await stat(file);
    if (size > mostOutput) callOff('output', `It wrote more than ${formatBytes(mostOutput)}.`);
  }
}

/** Ends the process once the signal aborts. Resolves only where its driver cannot: else its exit is told. */
function untilStopped(handle: InstanceHandle, graceMs: number, signal: AbortSignal, deps: ProcessDeps) {
  const { promise, resolve } = Promise.withResolvers<ExitedStatus>();
  const end = async () => {
    if (!(await ended(handle, graceMs, deps))) resolve({ state: 'exited', code: null, signal: null, oomKilled: false });
  };
  const onAbort = () => void end();
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  return { promise, stop: () => signal.removeEventListener('abort', onAbort) };
}

/** False where its driver fails at it again and again. */
async function ended(handle: InstanceHandle, graceMs: number, { driver, clock, log }: ProcessDeps): Promise<boolean> {
  for (let left = tries; left > 0; left--) {
    try {
      await driver.stop(handle, graceMs);
      return true;
    } catch (error) {
      log.error('a run could not be ended', { unit: handle.unit, error: String(error), triesLeft: left - 1 });
      await sleep(clock, againMs);
    }
  }
  return false;
}

/** By itself, for want of memory, or because it was called off: that is what counts although it may have ended well. */
function endOf({ code, signal: by, oomKilled, limitBytes }: ExitedStatus, signal: AbortSignal): ApiJobEnd {
  if (signal.aborted) return { ...endByFault(signal.reason), code, signal: by };
  if (oomKilled) return { reason: 'memory', code, signal: by, message: lackOfMemory(limitBytes) };
  const message = by === null ? `It ended with exit code ${code}.` : `It was ended by ${by}.`;
  return { reason: 'exited', code, signal: by, message };
}

const lackOfMemory = (limitBytes: number | undefined): string =>
  limitBytes === undefined
    ? 'The kernel killed it for lack of memory.'
    : `It wanted more memory than it may have, and its limit is ${formatBytes(limitBytes)}.`;

/** How a run ended that was called off or failed, as what it was ended by says. */
export function endByFault(thrown: unknown): ApiJobEnd {
  const { details, message } = toFault(thrown);
  const reason = (details.reason as ApiJobEndReason | undefined) ?? 'failed';
  return { reason, code: null, signal: null, message };
}
