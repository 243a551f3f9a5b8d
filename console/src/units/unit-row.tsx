import { memo } from 'react';
import type { LiveUnit } from '../store/state.ts';
import { StatePill } from '../ui/state-pill.tsx';
import { toneOf } from '../ui/tone.ts';
import { UnitActions } from './unit-actions.tsx';
import { UnitFailure } from './unit-failure.tsx';
import { UnitMemory } from './unit-memory.tsx';
import { UnitProgress } from './unit-progress.tsx';
import { useActions } from './use-actions.ts';

export const UnitRow = memo(function UnitRow({ unit }: { unit: LiveUnit }) {
  const actions = useActions(unit.id);
  const about = [unit.tier, unit.category].filter(Boolean).join(' · ');
  return (
    <li className="unit" data-tone={toneOf(unit)} data-testid={`unit-row-${unit.id}`} data-state={unit.state}>
      <div className="unit-name">
        <h4 title={unit.summary}>
          {unit.title}
          {unit.url && (
            <a href={unit.url} target="_blank" rel="noreferrer" aria-label={`Open ${unit.title} in a new tab`}>
              open
            </a>
          )}
        </h4>
        <p className="unit-id">
          <code>{unit.id}</code> <span>{about}</span>
        </p>
      </div>
      <div className="unit-state">
        <StatePill unit={unit} />
        <p>{unit.why || unit.summary}</p>
      </div>
      <UnitMemory bytes={unit.bytes} />
      <UnitActions unit={unit} actions={actions} />
      {unit.progress && <UnitProgress progress={unit.progress} receivedAt={unit.receivedAt} waiters={unit.waiters} />}
      {unit.failure && <UnitFailure failure={unit.failure} />}
      {actions.problem && (
        <p className="unit-problem" role="alert">
          {actions.problem.message}
          <button type="button" className="link" onClick={actions.dismiss}>
            dismiss
          </button>
        </p>
      )}
    </li>
  );
});
