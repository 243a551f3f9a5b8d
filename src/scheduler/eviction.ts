import type { State, Unit } from './state.ts';
import { chargedOf } from './state.ts';

/** Whether it may be stopped to make room: idle or frozen, neither core nor pinned, and not just started. */
export function isEvictable(unit: Unit, state: State, now: number): boolean {
  if (isProtected(unit)) return false;
  if (unit.phase.kind === 'frozen') return unit.waiters.size === 0;
  return unit.phase.kind === 'ready' && isIdle(unit) && now >= residentUntil(unit, state);
}

/** Never stopped to make room. What is not in the catalogue any more has no such right. */
export const isProtected = (unit: Unit): boolean => !unit.removed && (unit.pinned || unit.spec.tier === 'core');

/** No lease holds it and nobody in its queue is about to. */
export const isIdle = (unit: Unit): boolean => unit.leases.size === 0 && unit.waiters.size === 0;

/** The end of its minimum residency. Once its definition is gone there is none. */
export const residentUntil = (unit: Unit, state: State): number =>
  unit.phase.kind === 'ready' && !unit.removed ? unit.phase.since + state.settings.minResidencyMs : 0;

/** Whether it could be evicted once what it is doing now is done: then a waiter waits for it and is not refused. */
export const mayYield = (unit: Unit): boolean => !isProtected(unit) && 'bytes' in unit.phase;

/** The order in which idle units go: low priority first, frozen before ready, longest idle first. */
function byCost(a: Unit, b: Unit): number {
  return (
    a.spec.priority - b.spec.priority ||
    Number(b.phase.kind === 'frozen') - Number(a.phase.kind === 'frozen') ||
    idleSince(a) - idleSince(b)
  );
}

const idleSince = (unit: Unit): number => {
  if (unit.phase.kind === 'ready') return unit.phase.idleSince ?? Infinity;
  return 'since' in unit.phase ? unit.phase.since : 0;
};

/**
 * Which of the candidates to stop so that `bytes` come free; null when all of them would not do. Greedy by cost, then
 * whatever the larger ones made superfluous is let live. Asked far more often than obeyed, hence the sum before the sort.
 */
export function chooseVictims(bytes: number, candidates: readonly Unit[]): readonly Unit[] | null {
  if (candidates.reduce((total, unit) => total + chargedOf(unit), 0) < bytes) return null;
  const chosen: Unit[] = [];
  let freed = 0;
  for (const unit of [...candidates].sort(byCost)) {
    if (freed >= bytes) break;
    chosen.push(unit);
    freed += chargedOf(unit);
  }
  return chosen.reverse().filter((unit) => {
    const spare = freed - chargedOf(unit) >= bytes;
    if (spare) freed -= chargedOf(unit);
    return !spare;
  });
}
