import type { UnitId } from '#kernel/ids';

/** One thing at a time for each unit, in the order it was asked for; units do not wait for one another. */
export interface Turns {
  take(unit: UnitId, work: () => Promise<void>): void;
  /** Resolves when what was asked for of one unit until now is done. */
  settled(unit: UnitId): Promise<void>;
  /** Resolves when nothing is asked for any more. */
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
    settled: async (unit) => chains.get(unit),
    async idle() {
      while (chains.size > 0) await Promise.all(chains.values());
    },
  };
}
