import type { Unit } from '../api/types.ts';
import { stateWord, toneOf } from './tone.ts';

/** The state as a colour and a word; the word alone must be enough. */
export function StatePill({ unit }: { unit: Pick<Unit, 'state' | 'leases'> }) {
  return (
    <span className="pill" data-tone={toneOf(unit)}>
      {stateWord(unit)}
    </span>
  );
}
