import { expect, it } from 'vitest';
import { unitId } from '#kernel/ids';
import { cardVariables, createPlacements } from './placement.ts';
import type { Card } from './placement.ts';

const card = (n: number, limitBytes: number): Card => ({ id: `gpu${n}`, uuid: `GPU-${n}`, limitBytes });
const [a, b, c] = [unitId('model', 'a'), unitId('model', 'b'), unitId('model', 'c')];
/** As many layers of one byte as fit, at most so many. */
const upTo = (most: number) => (on: Card) => {
  const layers = Math.min(most, on.limitBytes);
  return layers > 0 ? { layers, vramBytes: layers, ramBytes: most - layers, whole: layers === most } : null;
};

it('a unit is put where most of it fits, and others beside the emptiest', () => {
  const placements = createPlacements(() => [card(0, 4), card(1, 10)]);
  expect(placements.place(a, upTo(8))?.card.id).toBe('gpu1');
  expect(placements.place(b, upTo(4))?.card.id).toBe('gpu0');
  expect(placements.place(c, upTo(3))?.card.id).toBe('gpu0');
});

it('it stays where it is while no other card takes more', () => {
  let cards = [card(0, 10), card(1, 10)];
  const placements = createPlacements(() => cards);
  expect(placements.place(a, upTo(8))?.card.id).toBe('gpu0');
  placements.place(b, upTo(2));
  expect(placements.place(a, upTo(8))?.card.id).toBe('gpu0');
  cards = [card(0, 5), card(1, 10)];
  expect(placements.place(a, upTo(8))?.card.id).toBe('gpu1');
  cards = [];
  expect(placements.place(a, upTo(8))).toBeNull();
  expect(placements.of(a)).toBeNull();
});

it('what is on no card sees none where there are some', () => {
  expect(cardVariables(card(1, 1), [card(0, 1), card(1, 1)])).toEqual({ CUDA_VISIBLE_DEVICES: 'GPU-1' });
  expect(cardVariables(null, [card(0, 1)])).toEqual({ CUDA_VISIBLE_DEVICES: '' });
  expect(cardVariables(null, [])).toEqual({});
});
