import type { State, Unit } from './state.ts';
import { reloadMs, thawMs, weightOf } from './worth.ts';

/** What keeping all of the memory is worth, in milliseconds of waiting: a minute. So a hundredth of it is worth 0.6 s. */
const allMemoryMs = 60_000;

/**
 * Where an idle unit goes by itself. One that says `auto` is frozen where the waiting that spares whoever asks next, by
 * what starting and thawing took, weighs more than what it keeps from the others meanwhile. Whoever needs those bytes gets
 * them all the same, so the size of the machine is the measure. One of which it is not known what it keeps is frozen to see.
 */
export function rungOf(unit: Unit, { limitBytes }: Pick<State, 'limitBytes'>): 'frozen' | 'cold' {
  const { idleRung, rungs } = unit.spec;
  if (idleRung !== 'auto') return idleRung;
  if (!rungs.freezable) return 'cold';
  if (unit.frozenBytes === null) return 'frozen';
  const sparedMs = weightOf(unit) * (reloadMs(unit) - thawMs(unit));
  return sparedMs > (unit.frozenBytes / Math.max(1, limitBytes)) * allMemoryMs ? 'frozen' : 'cold';
}
