import { useMemo, useState } from 'react';
import { useConsole } from '../store/context.tsx';
import type { LiveUnit } from '../store/state.ts';
import { groupOf, inOrder, matches, shows } from './filter.ts';
import type { Show } from './filter.ts';
import { UnitRow } from './unit-row.tsx';
import './units.css';

export function UnitSection() {
  const units = useConsole((state) => state.units);
  const known = useConsole((state) => state.platform !== null);
  const [text, setText] = useState('');
  const [show, setShow] = useState<Show>('all');
  const ordered = useMemo(() => inOrder(units.values()), [units]);
  const visible = ordered.filter((unit) => (show === 'all' || groupOf(unit) === show) && matches(unit, text));

  return (
    <section id="units" className="panel units" aria-labelledby="units-title">
      <div className="panel-head">
        <h2 id="units-title">Services and models</h2>
        <input
          type="search"
          className="filter"
          placeholder="Filter"
          aria-label="Filter services and models"
          data-testid="unit-filter"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <ShowChoice units={ordered} value={show} onChange={setShow} />
      </div>
      <UnitGroup title="Models" units={visible.filter((unit) => unit.kind === 'model')} />
      <UnitGroup title="Services" units={visible.filter((unit) => unit.kind === 'service')} />
      <p role="status" className="empty">
        {visible.length === 0 && emptyReason(known, units.size)}
      </p>
    </section>
  );
}

function emptyReason(known: boolean, total: number): string {
  if (!known) return 'Waiting for the platform.';
  return total === 0
    ? 'The catalogue is empty. A definition put into the home folder under catalog/services or catalog/models appears here.'
    : 'Nothing matches the filter.';
}

function UnitGroup({ title, units }: { title: string; units: readonly LiveUnit[] }) {
  if (units.length === 0) return null;
  return (
    <>
      <h3 className="group-title">{title}</h3>
      <ul className="unit-list" aria-label={title}>
        {units.map((unit) => (
          <UnitRow key={unit.id} unit={unit} />
        ))}
      </ul>
    </>
  );
}

function ShowChoice(props: { units: readonly LiveUnit[]; value: Show; onChange: (show: Show) => void }) {
  const { units, value, onChange } = props;
  const total = (show: Show) => (show === 'all' ? units.length : units.filter((unit) => groupOf(unit) === show).length);
  return (
    <fieldset className="choice">
      <legend className="sr-only">Show</legend>
      {shows.map((show) => (
        <label key={show}>
          <input type="radio" name="show" checked={value === show} onChange={() => onChange(show)} />
          <span>
            {show} <small>{total(show)}</small>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
