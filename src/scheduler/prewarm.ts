import { cardNeedOf, cardPools, isFreeOn } from './devices.ts';
import type { Guess } from './forecast.ts';
import { begin, thaw } from './moves.ts';
import { isWanted, needOf } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Effect } from './types.ts';
import { reloadMs, thawMs } from './worth.ts';

/**
 * Brings up what will probably be asked for, in memory that is free and that nobody waits for: nothing is put to sleep for
 * a guess. One at a time, and only while nothing else starts, so that it takes no time from what somebody waits for. What was
 * brought up so may be put to sleep at any time, even while it starts.
 */
export function prewarm(state: State, now: number, effects: Effect[]): void {
  const { guesses } = state.forecast;
  if (guesses.size === 0 || state.claims.length > 0 || state.pressure !== 'none' || isStarting(state)) return;
  const cards = cardPools(state);
  let best: Unit | null = null;
  let most = -Infinity;
  for (const [unit, guess] of guesses) {
    if (isOver(unit, guess, state, now)) guesses.delete(unit);
    else if (needOf(unit) <= state.limitBytes - state.totals.charged && isFreeOn(cardNeedOf(unit, cards))) {
      const worth = worthOf(unit, guess);
      if (worth > most) [best, most] = [unit, worth];
    }
  }
  const guess = best && guesses.get(best);
  if (!best || !guess) return;
  guesses.delete(best);
  bringUp(best, guess, state, now, effects);
}

const isStarting = ({ awake }: State): boolean => {
  for (const { phase } of awake) if (phase.kind === 'starting' || phase.kind === 'thawing') return true;
  return false;
};

/** Its asker has asked for something since, it is awake or asked for, or it cannot be started. */
function isOver(unit: Unit, { until, asker }: Guess, state: State, now: number): boolean {
  const { kind } = unit.phase;
  return (
    until <= now ||
    state.units.get(unit.spec.id) !== unit ||
    (kind !== 'cold' && kind !== 'frozen') ||
    (asker !== null && asker.expected?.unit !== unit.spec.id) ||
    unit.waiters.size > 0 ||
    isWanted(unit) ||
    unit.removed ||
    unit.stopWanted !== null ||
    unit.failure !== null ||
    !unit.spec.prewarm
  );
}

/** Waiting that it spares, for each byte. */
const worthOf = (unit: Unit, { chance }: Guess): number =>
  (chance * (unit.phase.kind === 'frozen' ? thawMs(unit) : reloadMs(unit))) / Math.max(1, needOf(unit));

function bringUp(unit: Unit, { chance, because, until }: Guess, state: State, now: number, effects: Effect[]): void {
  const reason = { code: 'expected', chance, because } as const;
  unit.guessed = { since: now, until, bytes: needOf(unit) };
  if (unit.phase.kind === 'frozen') return thaw(unit, reason, state, now, effects);
  unit.reason = reason;
  begin(unit, state, now, effects);
}
