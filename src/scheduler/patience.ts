import type { State } from './state.ts';

/** So many times what is ahead of it one waits before it counts as too long, where that is more than the bound. */
const times = 3;

/**
 * How long one waits before one goes first; ms. The bound of the settings, as long as the machine keeps up: where more is
 * asked for than it can do, everyone waits longer than any bound, and to let all of them go first would only have memory
 * stand empty for the largest. Then it is those who wait several times as long as all that is asked for now should take.
 */
export const patienceMs = ({ settings, backlogMs }: State): number => Math.max(settings.ageingMs, times * backlogMs);
