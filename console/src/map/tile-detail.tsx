import { count, formatBytes, formatSpan } from '../ui/format.ts';
import { useNow } from '../ui/now.ts';
import { StatePill } from '../ui/state-pill.tsx';
import type { LiveUnit } from '../store/state.ts';
import type { Tile } from './layout.ts';

const detailWidth = 340;

/** Below the map, never over it: it must not hide the next tile. */
export function TileDetail({ unit, anchor, width }: { unit: LiveUnit; anchor: Tile; width: number }) {
  const now = useNow(unit.idleMs !== null);
  const { declared, learned, measured, reserved } = unit.bytes;
  const left = Math.max(0, Math.min(anchor.x + anchor.width / 2 - detailWidth / 2, width - detailWidth));
  return (
    <div className="tile-detail" style={{ left, maxWidth: '100%' }}>
      <div className="tile-detail-head">
        <b>{unit.title}</b>
        <StatePill unit={unit} />
      </div>
      {unit.why && <p>{unit.why}</p>}
      <dl>
        <Fact term="Reserved" value={formatBytes(reserved)} />
        <Fact term="Measured" value={orDash(measured)} />
        <Fact term="Declared" value={formatBytes(declared)} />
        <Fact term="Learned" value={orDash(learned)} />
        <Fact term="In use by" value={unit.leases === 0 ? 'nobody' : count(unit.leases, 'request')} />
        <Fact
          term="Idle for"
          value={unit.idleMs === null ? '–' : formatSpan(unit.idleMs + Math.max(0, now - unit.receivedAt))}
        />
      </dl>
    </div>
  );
}

const orDash = (bytes: number | null) => (bytes === null ? '–' : formatBytes(bytes));

function Fact({ term, value }: { term: string; value: string }) {
  return (
    <div>
      <dt>{term}</dt>
      <dd>{value}</dd>
    </div>
  );
}
