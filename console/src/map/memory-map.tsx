import { useMemo, useRef, useState } from 'react';
import type { KeyboardEvent } from 'react';
import type { Ledger } from '../api/types.ts';
import type { LiveUnit } from '../store/state.ts';
import { formatBytes } from '../ui/format.ts';
import { layoutMap, neighbour } from './layout.ts';
import type { Direction, Tile } from './layout.ts';
import { MapTile } from './map-tile.tsx';
import { TileDetail } from './tile-detail.tsx';
import { useSize } from './use-size.ts';

const directions: Readonly<Record<string, Direction>> = {
  ArrowLeft: 'left',
  ArrowRight: 'right',
  ArrowUp: 'up',
  ArrowDown: 'down',
};

export function MemoryMap({ ledger, units }: { ledger: Ledger; units: ReadonlyMap<string, LiveUnit> }) {
  const [box, size] = useSize<HTMLDivElement>();
  const layout = useMemo(() => layoutMap(items(units), ledger.limitBytes, size), [units, ledger.limitBytes, size]);
  // Drawn in the order of ids: moving nodes in the document while bytes change would drop the focus and the transitions.
  const tiles = layout.tiles.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const { shown, entry, show, hide, onKeyDown, buttons } = useTileFocus(tiles);
  const detail = shown === null ? undefined : units.get(shown);
  const detailTile = tiles.find((tile) => tile.id === shown);

  return (
    <div className="map-area" onMouseLeave={hide}>
      <div
        className="map"
        ref={box}
        role="group"
        aria-label="Memory by unit. The arrow keys go from tile to tile."
        data-testid="memory-map"
        onKeyDown={onKeyDown}
      >
        {layout.free && (
          <div className="map-free" style={place(layout.free)}>
            {layout.free.width > 70 && layout.free.height > 34 && (
              <span>
                free <b>{formatBytes(ledger.freeBytes)}</b>
              </span>
            )}
          </div>
        )}
        {tiles.map((tile) => {
          const unit = units.get(tile.id);
          return unit ? (
            <MapTile
              key={tile.id}
              ref={(element) => void (element ? buttons.set(tile.id, element) : buttons.delete(tile.id))}
              tile={tile}
              unit={unit}
              shown={tile.id === shown}
              reachable={tile.id === entry}
              onShow={() => show(tile.id)}
              onHide={hide}
            />
          ) : null;
        })}
      </div>
      {detail && detailTile && <TileDetail unit={detail} anchor={detailTile} width={size.width} />}
    </div>
  );
}

/** Which tile's detail is shown, and the way of the keyboard: one stop for Tab, arrows inside, Escape closes. */
function useTileFocus(tiles: readonly Tile[]) {
  const [shown, setShown] = useState<string | null>(null);
  const [last, setLast] = useState<string | null>(null);
  const buttons = useRef(new Map<string, HTMLButtonElement>()).current;
  const largest = tiles.toSorted((a, b) => b.width * b.height - a.width * a.height)[0]?.id ?? null;

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') setShown(null);
    const direction = directions[event.key];
    const from = tiles.find((tile) => buttons.get(tile.id) === event.target)?.id;
    if (!direction || from === undefined) return;
    event.preventDefault();
    const next = neighbour(tiles, from, direction);
    if (next !== null) buttons.get(next)?.focus();
  };

  return {
    shown,
    entry: tiles.some((tile) => tile.id === last) ? last : largest,
    show(id: string) {
      setShown(id);
      setLast(id);
    },
    hide: () => setShown(null),
    onKeyDown,
    buttons,
  };
}

const items = (units: ReadonlyMap<string, LiveUnit>) =>
  [...units.values()].map(({ id, bytes }) => ({ id, reserved: bytes.reserved, measured: bytes.measured }));

export const place = ({ x, y, width, height }: { x: number; y: number; width: number; height: number }) => ({
  left: x,
  top: y,
  width,
  height,
});
