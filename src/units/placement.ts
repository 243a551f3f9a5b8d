import type { UnitId } from '#kernel/ids';

/** A graphics card as units are put on it. */
export interface Card {
  /** Its name in the ledger: `gpu0`. */
  readonly id: string;
  readonly uuid: string;
  /** What all units together may hold there, in bytes. */
  readonly limitBytes: number;
}

/** A graphics card with what is on it. Bytes. */
export interface CardFacts extends Card {
  readonly name: string;
  readonly totalBytes: number;
  /** What units were measured to hold; null where that cannot be told. */
  readonly measuredBytes: number | null;
  /** What other programs hold. */
  readonly otherBytes: number;
}

/** What a unit would be on one card. */
export interface Fit {
  readonly vramBytes: number;
  /** Of a model: how many of its layers, and the bytes that stay in main memory. */
  readonly layers: number;
  readonly ramBytes: number | null;
  /** All of it is there. */
  readonly whole: boolean;
}

export interface Placement extends Fit {
  readonly card: Card;
}

export interface Placements {
  /**
   * The card for a unit: the one that takes most of it, of those alike the one with the least on it already; the one where
   * it was, as long as no other takes more. Null where none takes any.
   */
  place(unit: UnitId, fitOn: (card: Card) => Fit | null): Placement | null;
  /** Of what was placed last. */
  of(unit: UnitId): Placement | null;
}

export function createPlacements(cards: () => readonly Card[]): Placements {
  const placed = new Map<UnitId, Placement>();
  const load = (card: Card, but: UnitId): number =>
    [...placed].reduce((sum, [unit, on]) => sum + (unit !== but && on.card.id === card.id ? on.vramBytes : 0), 0);
  return {
    of: (unit) => placed.get(unit) ?? null,
    place(unit, fitOn) {
      const before = placed.get(unit)?.card.id;
      let best: Placement | null = null;
      for (const card of cards()) {
        const fit = fitOn(card);
        if (!fit) continue;
        const isBetter =
          !best ||
          fit.layers > best.layers ||
          (fit.layers === best.layers &&
            best.card.id !== before &&
            (card.id === before || load(card, unit) < load(best.card, unit)));
        if (isBetter) best = { ...fit, card };
      }
      if (best) placed.set(unit, best);
      else placed.delete(unit);
      return best;
    },
  };
}

/** How an instance is kept to its card, and what has none away from all of them. CUDA reads it, and what builds on it. */
export const cardVariables = (card: Card | null, cards: readonly Card[]): Readonly<Record<string, string>> => {
  if (card) return { CUDA_VISIBLE_DEVICES: card.uuid };
  return cards.length > 0 ? { CUDA_VISIBLE_DEVICES: '' } : {};
};
