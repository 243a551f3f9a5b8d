import type { Unit } from '../api/types.ts';
import { stateWord, toneOf } from '../ui/tone.ts';

export const shows = ['all', 'awake', 'failed', 'asleep'] as const;
export type Show = (typeof shows)[number];

/** Which of the four a unit counts under, besides `all`. */
export function groupOf(unit: Unit): Exclude<Show, 'all'> {
  const tone = toneOf(unit);
  if (tone === 'failed') return 'failed';
  return tone === 'cold' ? 'asleep' : 'awake';
}

/** Every word must occur somewhere: in the names, the summary, the category, the tier, the state or its reason. */
export function matches(unit: Unit, text: string): boolean {
  const { id, title, summary, category, tier, why } = unit;
  const where = [id, title, summary, category ?? '', tier, why, stateWord(unit), unit.pinned ? 'pinned' : '']
    .join('\n')
    .toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => where.includes(word));
}

/** By title, never by state: a row must not move away under the pointer because its unit woke up. */
export function inOrder<U extends Unit>(units: Iterable<U>): U[] {
  return [...units].toSorted(
    (a, b) => a.title.localeCompare(b.title, 'en', { numeric: true }) || (a.id < b.id ? -1 : 1),
  );
}
