import { replicaId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { bearsOf, canStart, demand, drainMs, growsAt, isComing, isUp, left } from './load.ts';
import { teach } from './moves.ts';
import { copySpec, createUnit } from './state.ts';
import type { State, Unit } from './state.ts';
import type { UnitSpec } from './types.ts';
import { regretOf, reloadMs, startUpkeepMs } from './worth.ts';

/** Makes the copies that the unit's definition allows, and lets those go that it does not allow any more. */
export function describeCopies(state: State, unit: Unit): void {
  const { spec } = unit;
  const wanted = new Map<UnitId, UnitSpec>();
  for (let n = 2; n <= spec.replicas.max; n++) wanted.set(replicaId(spec.id, n), copySpec(spec, n));
  for (const copy of unit.copies) {
    const now = wanted.get(copy.spec.id);
    copy.removed = now === undefined;
    if (now) copy.spec = now;
    wanted.delete(copy.spec.id);
  }
  for (const one of wanted.values()) {
    const copy = createUnit(one, ++state.seq, unit);
    unit.copies = [...unit.copies, copy];
    state.units.set(one.id, copy);
  }
  const { learnedBytes, frozenBytes, startMs, thawMs, card } = unit;
  teach(unit, { learnedBytes, frozenBytes, startMs, thawMs, learnedVram: card.learned });
}

/** Up to this part of what all can do at once they are left to it: above that, waiting grows fast. */
const busyPart = 0.75;

/**
 * How many of the unit are to run, by what waits, what is served, and what comes:
 * - at least `min` once the first one is awake;
 * - one more while what waits takes longer than another one's start, by how long leases lasted and by how long those have
 *   lasted that are held now;
 * - one more while requests come faster than those there can serve, by how long they hold a slot; of the slots, those count
 *   that an instance bears without its requests' slowing one another down;
 * - never more than `max`, none more under pressure on memory or while somebody has waited past the bound for memory, and no
 *   more than have cores to compute on at once.
 * One at a time: the next is asked for once that one is there.
 */
export function wantedCopies(unit: Unit, state: State, now: number): number {
  const { min, max } = unit.spec.replicas;
  const running = [unit, ...unit.copies].filter(isUp).length;
  if (running === 0) return 0;
  if (state.pressure !== 'none') return Math.min(max, running);
  const least = Math.max(min, running);
  if (state.blocked !== null || [unit, ...unit.copies].some(isComing)) return Math.min(max, least);
  const capacity = running * bearsOf(unit);
  const more =
    drainMs(unit, running, now) > reloadMs(unit) || now >= growsAt(unit) || demand(unit, now) > busyPart * capacity;
  const useful = more && (running + 1) * (unit.spec.threads ?? 0) <= state.cores.total;
  return Math.min(max, useful ? Math.max(least, running + 1) : least);
}

/**
 * Marks those copies that are to run, the ones that are nearest to it first; whoever is not marked rests when its time comes.
 * Says which of them changed.
 */
export function scale(unit: Unit, state: State, now: number): readonly Unit[] {
  const changed: Unit[] = [];
  const running = [unit, ...unit.copies].filter(isUp).length;
  let missing = wantedCopies(unit, state, now) - running;
  let least = isUp(unit) ? unit.spec.replicas.min - 1 : 0;
  for (const copy of unit.copies) {
    // What was given up under pressure does not come back while that lasts.
    const kept = !copy.removed && least-- > 0 && (state.pressure === 'none' || isUp(copy));
    const intent = missing > 0 && canStart(copy);
    if (intent) missing--;
    if (kept === copy.kept && intent === copy.intent) continue;
    copy.kept = kept;
    copy.intent = intent;
    changed.push(copy);
  }
  return changed;
}

/**
 * The waiting that another one is expected to spare those who wait; ms. One that is to run anyway is worth what its going to
 * sleep would cost: no less than what makes room for it, or the two would take turns.
 */
export function copyWorthMs(copy: Unit, state: State, now: number): number {
  const unit = copy.original;
  if (!unit) return Infinity;
  if (copy.kept) return regretOf(copy, state, now) * (startUpkeepMs + reloadMs(copy));
  const running = [unit, ...unit.copies].filter(isUp).length;
  return (left(unit) * drainMs(unit, running, now)) / (running + 1);
}
