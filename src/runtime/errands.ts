import { isAbort } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';

/** What is done for a unit beside its turns: one at a time, called off as soon as something of importance is asked of it. */
export interface Errands {
  /** Calls off the one before. */
  run(unit: UnitId, work: (signal: AbortSignal) => Promise<void>): void;
  callOff(unit: UnitId): void;
  /** Resolves when none is under way. */
  idle(): Promise<void>;
}

export function createErrands(onError: (unit: UnitId, error: unknown) => void): Errands {
  const errands = new Map<UnitId, { readonly abort: AbortController; readonly done: Promise<void> }>();
  const callOff = (unit: UnitId) => errands.get(unit)?.abort.abort();
  return {
    run(unit, work) {
      callOff(unit);
      const abort = new AbortController();
      const done = work(abort.signal)
        .catch((error: unknown) => {
          // An end while it was done is told by those who saw it.
          if (!isAbort(error) && !abort.signal.aborted) onError(unit, error);
        })
        .finally(() => {
          if (errands.get(unit)?.abort === abort) errands.delete(unit);
        });
      errands.set(unit, { abort, done });
    },
    callOff,
    async idle() {
      while (errands.size > 0) await Promise.all([...errands.values()].map(({ done }) => done));
    },
  };
}
