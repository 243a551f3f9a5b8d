import type { UnitId } from '#kernel/ids';

/** One thing at a time for each unit, in the order it was asked for; units do not wait for one another. */
export interface Turns {
  take(unit: UnitId, work: () => Promise<void>): void;
  /** Resolves when everything that was asked for until now is done. */
  idle(): Promise<void>;
}

export function createTurns(onError: (unit: UnitId, error: unknown) => void): Turns {
  const chains = new Map<UnitId, Promise<void>>();
  return {
    take(unit, work) {
      const before = chains.get(unit) ?? Promise.resolve();
      const turn = before.then(work).catch((error: unknown) => onError(unit, error));
      chains.set(unit, turn);
      void turn.then(() => {
        if (chains.get(unit) === turn) chains.delete(unit);
      });
    },
    async idle() {
      while (chains.size > 0) await Promise.all(chains.values());
    },
  };
}
