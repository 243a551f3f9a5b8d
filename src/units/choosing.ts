import type { UnitId } from '#kernel/ids';
import type { State, Unit } from '#scheduler/state';

/** What is known of one of several models that a request may be answered by. */
export interface Candidate {
  readonly unit: UnitId;
  /** Whether its file is here, and how large that is. */
  readonly pulled: boolean;
  readonly bytes: number;
}

/** Bytes a millisecond, where nothing was measured: from a disk into memory, and over a network. */
const readRate = 500_000;
const pullRate = 10_000;
/** Milliseconds. A thaw takes one or two hundred; a start that fails is tried again after everything else. */
const thawGuess = 200;
const hopeless = 10 ** 9;

/** About how long it is until the unit answers: milliseconds, 0 when it is ready and has a place. */
export function msUntilReady({ unit, pulled, bytes }: Candidate, units: State['units'], now: number): number {
  const found = units.get(unit);
  if (!found) return hopeless;
  const start = found.startMs ?? bytes / readRate;
  switch (found.phase.kind) {
    case 'ready':
      return 0;
    case 'freezing':
    case 'frozen':
    case 'thawing':
      return found.thawMs ?? thawGuess;
    case 'starting':
      return Math.max(1, start - (now - found.phase.since));
    case 'backoff':
    case 'quarantined':
      return hopeless + start;
    case 'cold':
    case 'stopping':
      return start + (pulled ? 0 : bytes / pullRate);
  }
}

/** Those that are ready first, a busy one after an idle one; then by how soon they are. Equals keep their order. */
export function bySoonest<C extends Candidate>(candidates: readonly C[], units: State['units'], now: number): C[] {
  const isFull = (unit: Unit | undefined) => unit !== undefined && unit.leases.size >= unit.spec.slots;
  return candidates
    .map((candidate) => {
      const ms = msUntilReady(candidate, units, now);
      return { candidate, ms, full: ms === 0 && isFull(units.get(candidate.unit)) ? 1 : 0 };
    })
    .sort((a, b) => a.ms - b.ms || a.full - b.full)
    .map(({ candidate }) => candidate);
}
