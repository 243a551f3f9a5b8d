import type { ApiProgress } from '#contracts/api';
import type { OnProgress, Progress } from '#contracts/models';
import type { Clock } from '#kernel/clock';
import { Fault, toFault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { formatDuration } from '#kernel/quantities';
import { createSingleFlight } from '#kernel/single-flight';

export interface Preparing {
  run(unit: UnitId, signal: AbortSignal): Promise<void>;
  isDone(unit: UnitId): boolean;
  /** What is being done for it now; null when nothing is. */
  progress(unit: UnitId): ApiProgress | null;
  failure(unit: UnitId): { readonly message: string; readonly retryAt: number } | null;
  /** Its definition, its file or its environment changed: it is looked at anew. */
  forget(unit: UnitId): void;
  /** A failure is not held against the next try: a person asked for it. */
  forgive(unit: UnitId): void;
}

/** Milliseconds that a failed preparation is not tried again: first, and at most. */
const first = 1_000;
const most = 60_000;

/**
 * Preparation, once for all who wait for it. One that failed is not tried again at once by the next request, which
 * would make a storm of downloads out of one wrong name: the same answer is given until its backoff is over.
 */
export function createPreparing(
  work: (unit: UnitId, signal: AbortSignal, onProgress: OnProgress) => Promise<void>,
  clock: Clock,
): Preparing {
  const done = new Set<UnitId>();
  const latest = new Map<UnitId, Progress | null>();
  const failures = new Map<UnitId, { readonly fault: Fault; readonly count: number; readonly retryAt: number }>();
  const flights = createSingleFlight<void>();

  const attempt = async (unit: UnitId, signal: AbortSignal): Promise<void> => {
    latest.set(unit, null);
    try {
      await work(unit, signal, (progress) => latest.set(unit, progress));
      done.add(unit);
      failures.delete(unit);
    } catch (error) {
      const fault = toFault(error);
      if (!signal.aborted) {
        const count = (failures.get(unit)?.count ?? 0) + 1;
        failures.set(unit, { fault, count, retryAt: clock.now() + Math.min(most, first * 2 ** (count - 1)) });
      }
      throw fault;
    } finally {
      latest.delete(unit);
    }
  };
  return {
    isDone: (unit) => done.has(unit),
    forget: (unit) => void (done.delete(unit), failures.delete(unit)),
    forgive: (unit) => void failures.delete(unit),
    progress: (unit) => (latest.has(unit) ? describeProgress(latest.get(unit) ?? null) : null),
    failure(unit) {
      const failed = failures.get(unit);
      return failed ? { message: failed.fault.message, retryAt: failed.retryAt } : null;
    },
    async run(unit, signal) {
      if (done.has(unit)) return;
      const failed = failures.get(unit);
      const wait = failed ? failed.retryAt - clock.now() : 0;
      if (failed && wait > 0 && !flights.has(unit)) {
        const message = `${failed.fault.message} (tried ${failed.count} times, again in ${formatDuration(wait)})`;
        throw new Fault(failed.fault.code, message, {
          cause: failed.fault,
          retryAfter: Math.ceil(wait / 1000),
          details: failed.fault.details,
        });
      }
      await flights.run(unit, signal, (whole) => attempt(unit, whole));
    },
  };
}

export function describeProgress(progress: Progress | null): ApiProgress {
  if (!progress) return { phase: 'preparing' };
  const { phase, what, done, total } = progress;
  const percent =
    total === undefined || total === 0 ? {} : { percent: Math.min(100, Math.round((100 * done) / total)) };
  return { phase, what, ...percent };
}
