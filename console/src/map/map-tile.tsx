import type { Ref } from 'react';
import type { LiveUnit } from '../store/state.ts';
import { formatBytes } from '../ui/format.ts';
import { stateWord, toneOf } from '../ui/tone.ts';
import type { Tile } from './layout.ts';

interface Props {
  readonly tile: Tile;
  readonly unit: LiveUnit;
  readonly shown: boolean;
  readonly reachable: boolean;
  readonly onShow: () => void;
  readonly onHide: () => void;
  readonly ref: Ref<HTMLButtonElement>;
}

export function MapTile({ tile, unit, shown, reachable, onShow, onHide, ref }: Props) {
  return (
    <button
      ref={ref}
      type="button"
      className="tile"
      data-tone={toneOf(unit)}
      data-shown={shown}
      data-testid={`tile-${unit.id}`}
      tabIndex={reachable ? 0 : -1}
      style={{ left: tile.x, top: tile.y, width: tile.width, height: tile.height }}
      aria-label={label(unit)}
      onMouseEnter={onShow}
      onFocus={onShow}
      onClick={onShow}
      onBlur={onHide}
    >
      <span className="tile-body">
        <span className="tile-fill" data-over={tile.over} style={{ height: `${tile.fill * 100}%` }} />
        {tile.width > 44 && tile.height > 26 && (
          <span className="tile-text" data-small={tile.width < 84 || tile.height < 40}>
            <b>{unit.name}</b>
            {tile.height > 52 && <span>{formatBytes(unit.bytes.reserved)}</span>}
            {tile.height > 76 && tile.width > 84 && <span className="tile-state">{stateWord(unit)}</span>}
          </span>
        )}
      </span>
    </button>
  );
}

/** All that the tile shows by its place and colour, in words. */
function label(unit: LiveUnit): string {
  const { reserved, measured } = unit.bytes;
  const use = measured === null ? '' : `, ${formatBytes(measured)} measured`;
  return `${unit.title}: ${stateWord(unit)}, ${formatBytes(reserved)} reserved${use}. ${unit.why}`;
}
