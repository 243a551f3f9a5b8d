import type { ReactNode } from 'react';
import type { Ledger } from '../api/types.ts';
import { useConsole } from '../store/context.tsx';
import { formatBytes } from '../ui/format.ts';
import { MemoryMap } from './memory-map.tsx';
import './map.css';

const legend = ['ready', 'busy', 'frozen', 'waking', 'stopping'] as const;

export function MemorySection() {
  const ledger = useConsole((state) => state.ledger);
  const units = useConsole((state) => state.units);
  return (
    <section id="memory" className="memory" aria-labelledby="memory-title">
      <div className="memory-head">
        <h2 id="memory-title">Memory</h2>
        {ledger && <Figures ledger={ledger} />}
        <ul className="legend" aria-label="Colours of the map">
          {legend.map((tone) => (
            <li key={tone} data-tone={tone}>
              {tone}
            </li>
          ))}
        </ul>
      </div>
      {ledger ? <MemoryMap ledger={ledger} units={units} /> : <div className="map map-waiting" aria-hidden="true" />}
      {ledger && <MemoryNote ledger={ledger} empty={[...units.values()].every((unit) => unit.bytes.reserved === 0)} />}
    </section>
  );
}

function Figures({ ledger }: { ledger: Ledger }) {
  return (
    <dl className="figures">
      <Figure term="limit">{formatBytes(ledger.limitBytes)}</Figure>
      <Figure term="reserved">{formatBytes(ledger.reservedBytes)}</Figure>
      <Figure term="measured">{formatBytes(ledger.measuredBytes)}</Figure>
      <Figure term="free">{formatBytes(ledger.freeBytes)}</Figure>
    </dl>
  );
}

function Figure({ term, children }: { term: string; children: ReactNode }) {
  return (
    <div>
      <dt>{term}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function MemoryNote({ ledger, empty }: { ledger: Ledger; empty: boolean }) {
  const over = ledger.reservedBytes - ledger.limitBytes;
  return (
    <p className="memory-note">
      {empty && 'Nothing is awake: all of it is free. What is asked for wakes up. '}
      {over > 0 && <b>{formatBytes(over)} more is reserved than the limit allows: what is idle goes to sleep. </b>}
      {ledger.limitReason && `The limit: ${ledger.limitReason.replace(/\.$/, '')}. `}
      {!empty && 'A tile is as large as what is reserved, and filled by what is measured.'}
    </p>
  );
}
