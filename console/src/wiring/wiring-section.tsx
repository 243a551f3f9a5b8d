import { useState } from 'react';
import type { WiringEdge, WiringMap } from '../api/types.ts';
import { consumersOf, nameOf, sparedBy, traffic } from './consumers.ts';
import type { Consumer } from './consumers.ts';
import { useMap } from './use-map.ts';
import './wiring.css';

/** Closed until it is asked for: most who look at the page want to know what runs, not why it may. */
export function WiringSection() {
  const [isOpen, setOpen] = useState(false);
  const [all, setAll] = useState(false);
  const map = useMap(isOpen);
  return (
    <section id="wiring" className="panel wiring" aria-labelledby="wiring-title">
      <div className="panel-head">
        <h2 id="wiring-title">Who uses what</h2>
        {isOpen && (
          <button type="button" className="quiet" aria-pressed={all} onClick={() => setAll(!all)}>
            Asleep too
          </button>
        )}
        <button
          type="button"
          className="quiet"
          aria-expanded={isOpen}
          aria-controls="wiring-body"
          data-testid="wiring-toggle"
          onClick={() => setOpen(!isOpen)}
        >
          {isOpen ? 'Hide' : 'Show'}
        </button>
      </div>
      <div id="wiring-body" hidden={!isOpen}>
        {map ? <Wiring map={map} all={all} /> : <p className="empty">Waiting for the platform.</p>}
      </div>
    </section>
  );
}

function Wiring({ map, all }: { map: WiringMap; all: boolean }) {
  const consumers = consumersOf(map.edges, all);
  const spared = map.shared.flatMap((one) => sparedBy(one) ?? []);
  return (
    <>
      {spared.length > 0 && <p className="wiring-spared">{spared.join('; ')}.</p>}
      {consumers.length === 0 ? (
        <p className="empty">Nothing that is awake uses anything of another.</p>
      ) : (
        <table data-testid="wiring">
          <caption className="sr-only">Services, and what each uses of others</caption>
          <thead>
            <tr>
              <th scope="col">Service</th>
              <th scope="col">uses</th>
              <th scope="col">of</th>
              <th scope="col">as seen</th>
            </tr>
          </thead>
          {consumers.map((consumer) => (
            <ConsumerRows key={consumer.id} consumer={consumer} />
          ))}
        </table>
      )}
    </>
  );
}

function ConsumerRows({ consumer: { id, key, edges } }: { consumer: Consumer }) {
  const now = Date.now();
  return (
    <tbody>
      {edges.map((edge, i) => (
        <tr key={edgeKey(edge)}>
          {i === 0 && (
            <th scope="rowgroup" rowSpan={edges.length}>
              {nameOf(id)} {key && <code title="How its key begins">{key}…</code>}
            </th>
          )}
          <td>{edge.capability ?? 'needed'}</td>
          <td>{nameOf(edge.to)}</td>
          <td>{traffic(edge, now)}</td>
        </tr>
      ))}
    </tbody>
  );
}

const edgeKey = ({ to, capability }: WiringEdge): string => `${to} ${capability}`;
