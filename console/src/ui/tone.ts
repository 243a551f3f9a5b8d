import type { Unit, UnitState } from '../api/types.ts';

/** What a state looks like: many states, few colours. */
export type Tone = 'ready' | 'busy' | 'frozen' | 'waking' | 'stopping' | 'failed' | 'cold';

const tones: Readonly<Record<UnitState, Tone>> = {
  cold: 'cold',
  preparing: 'waking',
  queued: 'waking',
  starting: 'waking',
  ready: 'ready',
  frozen: 'frozen',
  freezing: 'stopping',
  thawing: 'waking',
  stopping: 'stopping',
  backoff: 'failed',
  quarantined: 'failed',
  disabled: 'cold',
  unknown: 'cold',
};

/** A ready unit that someone is using is busy: the one thing that is never evicted. */
export function toneOf(unit: Pick<Unit, 'state' | 'leases'>): Tone {
  return unit.state === 'ready' && unit.leases > 0 ? 'busy' : tones[unit.state];
}

/** The word for the state, with `busy` in place of a ready that is in use. */
export function stateWord(unit: Pick<Unit, 'state' | 'leases'>): string {
  return toneOf(unit) === 'busy' ? 'busy' : unit.state;
}
