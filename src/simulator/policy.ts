import type { Effect, Event } from '#scheduler/types';

/**
 * Decides what runs, in the scheduler's own events and effects, so that one engine judges them all alike.
 * 1. `configure` comes first and names the units; the limit was given when the policy was made.
 * 2. `request` asks for a unit and is answered by one `grant` or `refuse`, at once or later; `release` gives a grant back.
 * 3. Every other effect ends with its own event: `start` with `started`, `stop` with `stopped`, `freeze` with `frozen` and
 *    `measured`, `thaw` with `thawed`. A `stop` takes the place of what was under way.
 * 4. A `tick` comes at `nextWake` at the latest; nothing else happens by itself.
 */
export interface Policy {
  readonly name: string;
  step(event: Event, now: number): readonly Effect[];
  /** Milliseconds of virtual time; Infinity when nothing is ever due by itself. */
  nextWake(now: number): number;
}
