import type { UnitBytes } from '../api/types.ts';
import { formatBytes } from '../ui/format.ts';

/** What is known of a unit's size. The bar is for what is awake: measured, with marks at the declared and the learned bytes. */
export function UnitMemory({ bytes }: { bytes: UnitBytes }) {
  const { declared, learned, measured } = bytes;
  return (
    <div className="unit-memory">
      <dl>
        <Known term="declared" bytes={declared} />
        <Known term="learned" bytes={learned} />
        <Known term="measured" bytes={measured} />
      </dl>
      {measured !== null && <Bar declared={declared} learned={learned} measured={measured} />}
    </div>
  );
}

/** Kept in the document when unknown, so that the columns of the list stay columns. */
function Known({ term, bytes }: { term: string; bytes: number | null }) {
  return (
    <div data-known={bytes !== null}>
      <dt>{term}</dt>
      <dd>{bytes !== null && formatBytes(bytes)}</dd>
    </div>
  );
}

function Bar(props: { declared: number; learned: number | null; measured: number }) {
  const { declared, learned, measured } = props;
  const whole = Math.max(declared, learned ?? 0, measured, 1);
  const percent = (part: number) => `${(part / whole) * 100}%`;
  return (
    <div className="bar" aria-hidden="true">
      <span className="bar-fill" style={{ width: percent(measured) }} />
      <span className="bar-mark" style={{ left: percent(declared) }} />
      {learned !== null && <span className="bar-mark bar-mark-learned" style={{ left: percent(learned) }} />}
    </div>
  );
}
