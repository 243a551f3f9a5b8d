/** The memory map's geometry: pure, in pixels, with the origin at the top left. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Rect extends Size {
  readonly x: number;
  readonly y: number;
}

export interface MapItem {
  readonly id: string;
  readonly reserved: number;
  readonly measured: number | null;
}

export interface Tile extends Rect {
  readonly id: string;
  /** The measured share of what is reserved, 0 to 1. */
  readonly fill: number;
  /** Measured is more than reserved: the fill is full and this says so. */
  readonly over: boolean;
}

export interface MapLayout {
  readonly tiles: readonly Tile[];
  /** What nobody has reserved; null when there is none. */
  readonly free: Rect | null;
  /** Bytes reserved above the limit. The map then shows what is reserved, so that every area stays true to scale. */
  readonly overBytes: number;
}

/**
 * Tiles with areas true to the bytes reserved. What is reserved fills the map from the left (from the top when the map is
 * taller than wide), so that the free rest is one piece and the whole reads as a gauge; inside it the tiles are squarified.
 * The same bytes give the same picture, whatever the order of the items.
 */
export function layoutMap(items: readonly MapItem[], limitBytes: number, box: Size): MapLayout {
  const held = items
    .filter((item) => item.reserved > 0)
    .toSorted((a, b) => b.reserved - a.reserved || (a.id < b.id ? -1 : 1));
  const reserved = held.reduce((sum, item) => sum + item.reserved, 0);
  const capacity = Math.max(limitBytes, reserved);
  const overBytes = Math.max(0, reserved - limitBytes);
  if (capacity <= 0 || box.width <= 0 || box.height <= 0) return { tiles: [], free: null, overBytes };
  const { used, free } = cut(box, reserved / capacity);
  const scale = (used.width * used.height) / reserved;
  const rects = squarify(
    held.map((item) => item.reserved * scale),
    used,
  );
  const tiles = held.map((item, index) => toTile(item, rects[index] as Rect));
  return { tiles, free: reserved < capacity ? free : null, overBytes };
}

function cut({ width, height }: Size, share: number): { used: Rect; free: Rect } {
  if (width >= height) {
    const x = width * share;
    return { used: { x: 0, y: 0, width: x, height }, free: { x, y: 0, width: width - x, height } };
  }
  const y = height * share;
  return { used: { x: 0, y: 0, width, height: y }, free: { x: 0, y, width, height: height - y } };
}

function toTile({ id, reserved, measured }: MapItem, rect: Rect): Tile {
  const share = (measured ?? 0) / reserved;
  return { id, ...rect, fill: Math.min(1, share), over: share > 1 };
}

/**
 * One rectangle an area, in order, filling `space`. Rows along the shorter side, each taking areas for as long as its
 * worst proportion improves: Bruls, Huizing, van Wijk, "Squarified Treemaps" (2000). `areas` must be in falling order and
 * sum to the area of `space`.
 */
export function squarify(areas: readonly number[], space: Rect): Rect[] {
  const rects: Rect[] = [];
  let rest = space;
  let start = 0;
  while (start < areas.length) {
    const side = Math.min(rest.width, rest.height);
    let end = start + 1;
    while (end < areas.length && worst(areas, start, end + 1, side) <= worst(areas, start, end, side)) end++;
    const row = layRow(areas.slice(start, end), rest, end === areas.length);
    rects.push(...row.rects);
    rest = row.rest;
    start = end;
  }
  return rects;
}

/** The largest ratio of sides in a row of `areas[start..end)` along `side`. */
function worst(areas: readonly number[], start: number, end: number, side: number): number {
  let sum = 0;
  for (let i = start; i < end; i++) sum += areas[i] as number;
  const largest = areas[start] as number;
  const smallest = areas[end - 1] as number;
  const square = side * side;
  return Math.max((square * largest) / (sum * sum), (sum * sum) / (square * smallest));
}

/** The last row takes what is left to the pixel: rounding must not leave a sliver or reach outside. */
function layRow(areas: readonly number[], space: Rect, last: boolean): { rects: Rect[]; rest: Rect } {
  const sum = areas.reduce((a, b) => a + b, 0);
  const upright = space.width >= space.height;
  const side = upright ? space.height : space.width;
  const long = upright ? space.width : space.height;
  const depth = last ? long : Math.min(long, sum / side);
  let offset = 0;
  const rects = areas.map((area) => {
    const length = (area / sum) * side;
    const rect = upright
      ? { x: space.x, y: space.y + offset, width: depth, height: length }
      : { x: space.x + offset, y: space.y, width: length, height: depth };
    offset += length;
    return rect;
  });
  const rest = upright
    ? { ...space, x: space.x + depth, width: space.width - depth }
    : { ...space, y: space.y + depth, height: space.height - depth };
  return { rects, rest };
}

export type Direction = 'left' | 'right' | 'up' | 'down';

/** The nearest tile whose middle lies in that direction, leaning against going sideways; null at the edge. */
export function neighbour(tiles: readonly Tile[], from: string, direction: Direction): string | null {
  const origin = tiles.find((tile) => tile.id === from);
  if (!origin) return null;
  const [ox, oy] = middle(origin);
  const distances = tiles.flatMap((tile) => {
    const [x, y] = middle(tile);
    const ahead = { left: ox - x, right: x - ox, up: oy - y, down: y - oy }[direction];
    const aside = direction === 'left' || direction === 'right' ? Math.abs(y - oy) : Math.abs(x - ox);
    return tile.id !== from && ahead > 0.5 ? [{ id: tile.id, distance: ahead + 2 * aside }] : [];
  });
  return distances.toSorted((a, b) => a.distance - b.distance)[0]?.id ?? null;
}

const middle = ({ x, y, width, height }: Rect): [number, number] => [x + width / 2, y + height / 2];
