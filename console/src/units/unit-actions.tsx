import type { Unit } from '../api/types.ts';
import { toneOf } from '../ui/tone.ts';
import type { Actions } from './use-actions.ts';

export function UnitActions({ unit, actions }: { unit: Unit; actions: Actions }) {
  const tone = toneOf(unit);
  const asleep = tone === 'cold' || tone === 'failed' || tone === 'frozen';
  const awake = tone !== 'cold' && unit.state !== 'quarantined';
  const { pending, act } = actions;
  return (
    <div className="unit-actions">
      {/* A copy comes and goes with the work: only its unit is pinned and started. */}
      {unit.copyOf === null && (
        <button
          type="button"
          className="quiet"
          aria-pressed={unit.pinned}
          aria-label={`Pin ${unit.title}`}
          title={unit.pinned ? 'Pinned: it is never evicted' : 'Pin: keep it in memory'}
          data-testid={`pin-${unit.id}`}
          disabled={pending !== null}
          onClick={() => act(unit.pinned ? 'unpin' : 'pin')}
        >
          {unit.pinned ? 'Pinned' : 'Pin'}
        </button>
      )}
      {asleep && unit.copyOf === null && (
        <button
          type="button"
          aria-label={`Start ${unit.title}`}
          data-testid={`start-${unit.id}`}
          disabled={pending !== null || unit.state === 'disabled'}
          onClick={() => act('start')}
        >
          {tone === 'failed' ? 'Retry' : tone === 'frozen' ? 'Wake' : 'Start'}
        </button>
      )}
      {awake && (
        <button
          type="button"
          aria-label={`Stop ${unit.title}`}
          data-testid={`stop-${unit.id}`}
          disabled={pending !== null || unit.state === 'stopping'}
          onClick={() => act('stop')}
        >
          Stop
        </button>
      )}
    </div>
  );
}
