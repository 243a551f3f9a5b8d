import type { ApiProgress } from '#contracts/api';
import type { UnitId, WaiterId } from '#kernel/ids';
import type { Awake, Caller } from './wake.ts';

/** Who brings units up for callers: this process, or another one that it asks. */
export interface Granter {
  /** At once where it is ready and has a place, else later. Throws and rejects with the Fault that says why not. */
  wake(unit: UnitId, caller: Caller): Awake | Promise<Awake>;
  /** Milliseconds without a byte after which an open connection is no work; null where it always is. */
  silenceMs(unit: UnitId): number | null;
  isReady(unit: UnitId): boolean;
  /** Whether a person has just stopped it: what that cut is not begun anew. */
  wasStopped(unit: UnitId): boolean;
  /** Goes on waking for `ms` milliseconds for a caller who said it will come back; asking again prolongs it. */
  linger(unit: UnitId, principal: string, ms: number): void;
  progress(unit: UnitId, waiter?: WaiterId): ApiProgress;
}

/** A granter in whose place another can be put while it is asked and while its leases are held. */
export interface Relay extends Granter {
  /** From now on `next` is asked, also for those whom the first one turns away because it ends. */
  goOn(next: Granter): void;
}

export function createRelay(first: Granter, isEnding: (error: unknown) => boolean): Relay {
  let granter = first;
  return {
    wake(unit, caller) {
      if (granter !== first) return granter.wake(unit, caller);
      const waking = first.wake(unit, caller);
      if (!(waking instanceof Promise)) return waking;
      return waking.catch((error: unknown) => {
        if (granter === first || !isEnding(error)) throw error;
        return granter.wake(unit, caller);
      });
    },
    silenceMs: (unit) => first.silenceMs(unit),
    isReady: (unit) => granter.isReady(unit),
    wasStopped: (unit) => granter.wasStopped(unit),
    linger: (unit, principal, ms) => granter.linger(unit, principal, ms),
    progress: (unit, waiter) => granter.progress(unit, waiter),
    goOn(next) {
      granter = next;
    },
  };
}
