import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layoutMap, neighbour } from './layout.ts';
import type { MapItem, Rect } from './layout.ts';

const item = (id: string, reserved: number, measured: number | null = null): MapItem => ({ id, reserved, measured });
const area = ({ width, height }: Rect) => width * height;
const MiB = 2 ** 20;

const anyItems = fc.uniqueArray(
  fc.record({
    id: fc.string({ minLength: 1, maxLength: 8 }),
    reserved: fc.integer({ min: 0, max: 16_000 }).map((mib) => mib * MiB),
    measured: fc.option(fc.integer({ min: 0, max: 20_000 * MiB }), { nil: null }),
  }),
  { selector: (it) => it.id, maxLength: 40 },
);
const anyLimit = fc.integer({ min: 1, max: 64_000 }).map((mib) => mib * MiB);
const anyBox = fc.record({ width: fc.integer({ min: 50, max: 2000 }), height: fc.integer({ min: 50, max: 800 }) });

const overlap = (a: Rect, b: Rect) =>
  Math.max(0, Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)) *
  Math.max(0, Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y));

describe('layoutMap', () => {
  it('gives each tile an area true to its bytes, and the free rest the rest', () => {
    fc.assert(
      fc.property(anyItems, anyLimit, anyBox, (items, limit, box) => {
        const { tiles, free, overBytes } = layoutMap(items, limit, box);
        const whole = box.width * box.height;
        const reserved = items.reduce((sum, it) => sum + it.reserved, 0);
        const capacity = Math.max(limit, reserved);
        for (const tile of tiles) {
          const bytes = items.find((it) => it.id === tile.id)?.reserved ?? 0;
          expect(area(tile)).toBeCloseTo((bytes / capacity) * whole, 3);
        }
        expect(tiles).toHaveLength(items.filter((it) => it.reserved > 0).length);
        expect(free ? area(free) : 0).toBeCloseTo(((capacity - reserved) / capacity) * whole, 3);
        expect(overBytes).toBe(Math.max(0, reserved - limit));
      }),
    );
  });

  it('keeps every tile inside the map and apart from the others', () => {
    fc.assert(
      fc.property(anyItems, anyLimit, anyBox, (items, limit, box) => {
        const { tiles, free } = layoutMap(items, limit, box);
        const rects = free ? [...tiles, free] : tiles;
        for (const [index, rect] of rects.entries()) {
          expect(Math.min(rect.x, rect.y, rect.width, rect.height)).toBeGreaterThanOrEqual(-1e-6);
          expect(rect.x + rect.width).toBeLessThanOrEqual(box.width + 1e-6);
          expect(rect.y + rect.height).toBeLessThanOrEqual(box.height + 1e-6);
          for (const other of rects.slice(index + 1)) expect(overlap(rect, other)).toBeLessThan(1e-2);
        }
      }),
    );
  });

  it('does not depend on the order of the items', () => {
    fc.assert(
      fc.property(anyItems, anyLimit, anyBox, (items, limit, box) => {
        expect(layoutMap(items.toReversed(), limit, box)).toEqual(layoutMap(items, limit, box));
      }),
    );
  });

  it('fills from the left when wide and from the top when tall', () => {
    expect(layoutMap([item('a', 25)], 100, { width: 400, height: 100 }).free).toEqual({
      x: 100,
      y: 0,
      width: 300,
      height: 100,
    });
    expect(layoutMap([item('a', 25)], 100, { width: 100, height: 400 }).free).toEqual({
      x: 0,
      y: 100,
      width: 100,
      height: 300,
    });
  });

  it('shows the measured share, and says when it is more than what was reserved', () => {
    const { tiles } = layoutMap([item('a', 50, 40), item('b', 40, 60), item('c', 10)], 100, {
      width: 100,
      height: 100,
    });
    expect(tiles.map(({ id, fill, over }) => [id, fill, over])).toEqual([
      ['a', 0.8, false],
      ['b', 1, true],
      ['c', 0, false],
    ]);
  });

  it('is all free when nothing is reserved, and empty before it has a size or a limit', () => {
    const box = { width: 10, height: 10 };
    expect(layoutMap([item('a', 0)], 100, box)).toMatchObject({ tiles: [], free: { x: 0, width: 10, height: 10 } });
    expect(layoutMap([item('a', 5)], 100, { width: 0, height: 0 }).tiles).toEqual([]);
    expect(layoutMap([], 0, box)).toMatchObject({ tiles: [], free: null });
  });
});

describe('neighbour', () => {
  // A takes the left half; B and C share the right one, B above C.
  const tile = (id: string, x: number, y: number, width: number, height: number) => ({
    id,
    x,
    y,
    width,
    height,
    fill: 0,
    over: false,
  });
  const tiles = [tile('a', 0, 0, 100, 100), tile('b', 100, 0, 100, 60), tile('c', 100, 60, 100, 40)];

  it('goes to the nearest tile in the direction of the arrow', () => {
    expect(neighbour(tiles, 'a', 'right')).toBe('b');
    expect(neighbour(tiles, 'b', 'down')).toBe('c');
    expect(neighbour(tiles, 'c', 'up')).toBe('b');
    expect(neighbour(tiles, 'c', 'left')).toBe('a');
  });

  it('stays where the map ends, and where the tile is gone', () => {
    expect(neighbour(tiles, 'a', 'left')).toBeNull();
    expect(neighbour(tiles, 'gone', 'left')).toBeNull();
  });

  it('reaches every tile from the largest one', () => {
    fc.assert(
      fc.property(anyItems, anyBox, (items, box) => {
        const all = layoutMap(items, 1, box).tiles;
        const seen = new Set(all.slice(0, 1).map((tile) => tile.id));
        for (const id of seen) {
          for (const way of ['left', 'right', 'up', 'down'] as const) {
            const next = neighbour(all, id, way);
            if (next !== null) seen.add(next);
          }
        }
        // Tiles thinner than half a pixel have no middle of their own: nobody can point at them either.
        const visible = all.filter((tile) => tile.width > 1 && tile.height > 1);
        expect(visible.filter((tile) => !seen.has(tile.id))).toEqual([]);
      }),
    );
  });
});
