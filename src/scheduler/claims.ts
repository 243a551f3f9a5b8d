import { agedRank } from './queue.ts';
import type { Queued } from './queue.ts';
import { isWanted, needOf, originalUnit } from './state.ts';
import type { State, Unit } from './state.ts';
import { takeTurn, turnOf } from './turns.ts';
import { reloadMs, thawMs } from './worth.ts';

/** The place of a claim among the others: least first, field by field. */
export interface ClaimKey {
  /** 0 for what is always on. */
  readonly core: number;
  /** Of its first waiter; `merelyWanted` without one. */
  readonly rank: number;
  /** The turn of its principal in getting memory (`turns.ts`); by priority, without a waiter. */
  readonly tag: number;
  readonly seq: number;
}

const merelyWanted = 3;
const agedTag = Infinity;

/** Below zero when `a` has its turn first. */
export const before = (a: ClaimKey, b: ClaimKey): number =>
  a.core - b.core || a.rank - b.rank || (a.tag === b.tag ? 0 : a.tag - b.tag) || a.seq - b.seq;

const same = (a: ClaimKey | null, b: ClaimKey | null): boolean =>
  a === b || (a !== null && b !== null && before(a, b) === 0);

/** A unit that needs memory before it can serve whoever waits for it. */
export interface Claim {
  readonly unit: Unit;
  /** Undefined for one that is only wanted: core, pinned or started by hand. */
  readonly head: Queued | undefined;
  /** Nobody overtakes it any more. Core units don't wait for that: they are always on. */
  readonly aged: boolean;
}

/** For whom it claims memory: a copy is claimed for nobody by name, and comes after everyone who waits. */
export const headOf = (unit: Unit): Queued | undefined => (unit.original === null ? unit.queue.line[0] : undefined);

export const claimOf = (unit: Unit): Claim => {
  const head = headOf(unit);
  return { unit, head, aged: unit.spec.tier === 'core' || head?.rank === agedRank };
};

/** Whether it wants memory that it does not hold: cold and asked for, or frozen and short of what it gave back. */
function claims(unit: Unit): boolean {
  const { kind } = unit.phase;
  if (unit.removed || (kind !== 'cold' && kind !== 'frozen')) return false;
  if ((unit.original !== null || unit.queue.line.length === 0) && !isWanted(unit)) return false;
  return kind === 'cold' || (unit.stopWanted === null && needOf(unit) > 0);
}

/** Keeps the unit's place among the claims; says whether that changed anything. */
export function placeClaim(state: State, unit: Unit): boolean {
  const had = unit.booked.claim;
  const key = claims(unit) ? keyOf(state, unit, had) : null;
  if (same(had, key)) return false;
  if (had) state.claims.splice(indexOf(state.claims, had), 1);
  unit.booked.claim = key;
  countBacklog(state, unit, key !== null && key.rank !== merelyWanted);
  if (key) state.claims.splice(indexOf(state.claims, key), 0, unit);
  return true;
}

function keyOf(state: State, unit: Unit, had: ClaimKey | null): ClaimKey {
  const core = unit.spec.tier === 'core' ? 0 : 1;
  const head = headOf(unit);
  if (!head) return { core, rank: merelyWanted, tag: -unit.spec.priority, seq: unit.order };
  const { principal, since } = head;
  // Written down once for each time the unit wants memory; one with a better turn who joins brings it forward.
  const noted = had !== null && had.rank !== merelyWanted;
  const asked = noted ? had.tag : takeTurn(state.turns, principal, since, keepsMs(unit, state));
  // Those who waited past the bound go as they came, as they do where they wait for cores: what is ready and has none yet is
  // put to sleep for those alone who came before it, and must not be before them when it claims its memory again.
  const tag = head.rank === agedRank ? agedTag : Math.min(asked, turnOf(state.turns, principal, since));
  return { core, rank: head.rank, tag, seq: head.seq };
}

/** For how long it would keep the machine if nothing else could go on beside it. */
const keepsMs = (unit: Unit, { limitBytes }: State): number =>
  (unit.phase.kind === 'frozen' ? thawMs(unit) : reloadMs(unit)) * Math.min(1, needOf(unit) / Math.max(1, limitBytes));

/** Its load, and one request after that, with as much of the memory as it takes. */
function countBacklog(state: State, unit: Unit, waits: boolean): void {
  if (waits === unit.booked.backlogMs > 0) return;
  const part = Math.min(1, needOf(unit) / Math.max(1, state.limitBytes));
  const ms = waits ? keepsMs(unit, state) + part * (originalUnit(unit).holdMs ?? 0) : 0;
  // Nothing is left of what rounding left once nobody waits.
  state.backlogMs = state.claims.length === 0 && !waits ? 0 : state.backlogMs + ms - unit.booked.backlogMs;
  unit.booked.backlogMs = ms;
}

function indexOf(list: readonly Unit[], key: ClaimKey): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = list[middle]?.booked.claim;
    if (other && before(other, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
