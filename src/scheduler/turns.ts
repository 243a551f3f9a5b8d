/**
 * Virtual clocks (Zhang: "VirtualClock", 1990): who asks for no more than its part of the machine has its turn when it
 * asked, and who asks for more has it as late as if it had asked for its part only. So the order is that of arrival until
 * somebody floods. Times are milliseconds.
 */
export interface Turns {
  /** Of each principal: the time until which its part is used up. */
  readonly ends: Map<string, number>;
}

export const createTurns = (): Turns => ({ ends: new Map() });

/** One principal may use half of the machine before it goes behind the others. */
const part = 1 / 2;
/** Principals that are remembered before those whose time has passed are forgotten. */
const many = 64;

/** The turn of what keeps the whole machine for `costMs`; written down for its principal. */
export function takeTurn(turns: Turns, principal: string, since: number, costMs: number): number {
  const turn = turnOf(turns, principal, since);
  if (turns.ends.size >= many) forget(turns, since);
  turns.ends.set(principal, turn + costMs / part);
  return turn;
}

/** The turn that a request made at `since` would have. */
export const turnOf = ({ ends }: Turns, principal: string, since: number): number =>
  Math.max(since, ends.get(principal) ?? -Infinity);

function forget({ ends }: Turns, now: number): void {
  for (const [principal, end] of ends) if (end <= now) ends.delete(principal);
}
