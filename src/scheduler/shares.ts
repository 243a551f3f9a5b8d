/**
 * Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queuing", 1996): every request gets the virtual time at
 * which it would be served if the principals took turns, and is served in that order. Who asks for much waits behind
 * its own requests; who asks for little goes to the front.
 */
export interface Shares {
  /** The virtual time of the newest that was served. */
  virtual: number;
  /** Of each principal that has asked for more than was served: when its newest request ends. */
  readonly ends: Map<string, number>;
}

export const createShares = (): Shares => ({ virtual: 0, ends: new Map() });

/** The turn of a request of that cost, which is written down for its principal. */
export function tagFor(shares: Shares, principal: string, cost: number): number {
  const tag = turnOf(shares, principal);
  shares.ends.set(principal, tag + cost);
  return tag;
}

/** The turn that a request would have. */
export const turnOf = ({ virtual, ends }: Shares, principal: string): number =>
  Math.max(virtual, ends.get(principal) ?? 0);

export function taken(shares: Shares, tag: number): void {
  if (tag > shares.virtual) shares.virtual = tag;
}

/** Nobody waits any more: nobody is ahead or behind. */
export function restart(shares: Shares): void {
  shares.virtual = 0;
  if (shares.ends.size > 0) shares.ends.clear();
}
