import type { UnitId } from '#kernel/ids';
import { siblingsOf } from '#scheduler/state';
import type { State, Unit } from '#scheduler/state';
import { reloadMs, thawMs } from '#scheduler/worth';

/** What is known of one of several models that a request may be answered by. */
export interface Candidate {
  readonly unit: UnitId;
  /** Whether its file is here, and how large that is. */
  readonly pulled: boolean;
  readonly bytes: number;
  /** Whether it runs elsewhere: it is never started here, and so ready. */
  readonly elsewhere?: boolean;
}

/** Bytes a millisecond over a network, where nothing was measured. */
const pullRate = 10_000;
/** A start that fails is tried again after everything else; milliseconds. */
const hopeless = 10 ** 9;

/** About how long it is until the unit, or a copy of it, answers: milliseconds, 0 when one is ready. */
export function msUntilReady(
  { unit, pulled, bytes, elsewhere }: Candidate,
  units: State['units'],
  now: number,
): number {
  if (elsewhere === true) return 0;
  const found = units.get(unit);
  if (!found) return hopeless;
  return Math.min(...siblingsOf(found).map((one) => msUntil(one, pulled ? 0 : bytes / pullRate, now)));
}

function msUntil(unit: Unit, pullMs: number, now: number): number {
  const { phase } = unit;
  switch (phase.kind) {
    case 'ready':
      return 0;
    case 'freezing':
    case 'frozen':
    case 'thawing':
      return thawMs(unit);
    case 'starting':
      return Math.max(1, reloadMs(unit) - (now - phase.since));
    case 'backoff':
    case 'quarantined':
      return hopeless + reloadMs(unit);
    case 'cold':
    case 'stopping':
      return reloadMs(unit) + pullMs;
  }
}

/** Those that are ready first, a busy one after an idle one; then by how soon they are. Equals keep their order. */
export function bySoonest<C extends Candidate>(candidates: readonly C[], units: State['units'], now: number): C[] {
  return candidates
    .map((candidate) => {
      const ms = msUntilReady(candidate, units, now);
      return { candidate, ms, full: ms === 0 && isFull(units.get(candidate.unit)) ? 1 : 0 };
    })
    .sort((a, b) => a.ms - b.ms || a.full - b.full)
    .map(({ candidate }) => candidate);
}

/** Nothing of it that is ready has a slot. What runs elsewhere has as many as its own server gives. */
function isFull(unit: Unit | undefined): boolean {
  if (!unit) return false;
  const ready = siblingsOf(unit).filter(({ phase }) => phase.kind === 'ready');
  return ready.every(({ leases, spec }) => leases.size >= spec.slots);
}
