import { createRing } from './ring.ts';

/** How one of several is chosen. */
export const balances = ['round-robin', 'least-requests', 'latency', 'hash'] as const;
export type Balance = (typeof balances)[number];

/** What is chosen from. Its owner keeps the numbers up to date. */
export interface Member {
  /** For ever the same for the same place: what hashes are made of. */
  readonly id: string;
  /** Its part beside the others' at present; 0 or less takes it out. */
  weight: number;
  /** Requests that are under way there. */
  inFlight: number;
  /** Milliseconds until it answers of late; null before it was asked. */
  latencyMs: number | null;
}

export interface Balancer {
  /** The index of one that `isOpen`, or -1. `key` is what a hash goes by; without one any will do. */
  pick(isOpen: (index: number) => boolean, key: string | null): number;
}

export function createBalancer(balance: Balance, members: readonly Member[], random: () => number): Balancer {
  switch (balance) {
    case 'round-robin':
      return roundRobin(members);
    case 'least-requests':
      return ofTwo(members, random, ({ inFlight, weight }) => (inFlight + 1) / weight);
    case 'latency':
      // One that was never asked is asked: nothing else would tell how fast it is.
      return ofTwo(members, random, ({ latencyMs, inFlight, weight }) => ((latencyMs ?? 0) * (inFlight + 1)) / weight);
    case 'hash':
      return byHash(members, random);
  }
}

/** Smooth weighted round robin: of weights 2 and 1 comes a, b, a and not a, a, b. */
function roundRobin(members: readonly Member[]): Balancer {
  const credit = new Float64Array(members.length);
  return {
    pick(isOpen) {
      let best = -1;
      let total = 0;
      for (let i = 0; i < members.length; i++) {
        const weight = members[i]?.weight ?? 0;
        if (weight <= 0 || !isOpen(i)) continue;
        total += weight;
        credit[i] = (credit[i] ?? 0) + weight;
        if (best < 0 || (credit[i] ?? 0) > (credit[best] ?? 0)) best = i;
      }
      if (best >= 0) credit[best] = (credit[best] ?? 0) - total;
      return best;
    },
  };
}

/**
 * The better of two that were drawn at random: nearly as even as looking at all of them, and those who choose at the same
 * moment by numbers that are a little old do not all choose the same one.
 */
function ofTwo(members: readonly Member[], random: () => number, cost: (member: Member) => number): Balancer {
  const open: number[] = [];
  return {
    pick(isOpen) {
      open.length = 0;
      for (let i = 0; i < members.length; i++) if ((members[i]?.weight ?? 0) > 0 && isOpen(i)) open.push(i);
      if (open.length < 2) return open[0] ?? -1;
      const first = Math.floor(random() * open.length);
      const other = Math.floor(random() * (open.length - 1));
      const [a, b] = [open[first] ?? -1, open[other < first ? other : other + 1] ?? -1];
      return cost(members[a] as Member) <= cost(members[b] as Member) ? a : b;
    },
  };
}

/** How much more than its part one may have under way before its keys go on to the next. */
const bound = 1.25;

/** Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2017). */
function byHash(members: readonly Member[], random: () => number): Balancer {
  const ring = createRing(members.map(({ id }) => id));
  const any = ofTwo(members, random, ({ inFlight, weight }) => (inFlight + 1) / weight);
  return {
    pick(isOpen, key) {
      if (key === null) return any.pick(isOpen, key);
      let total = 0;
      let load = 1;
      const usable = (i: number) => (members[i]?.weight ?? 0) > 0 && isOpen(i);
      for (let i = 0; i < members.length; i++) {
        if (!usable(i)) continue;
        total += members[i]?.weight ?? 0;
        load += members[i]?.inFlight ?? 0;
      }
      const hasRoom = (i: number) => {
        const { inFlight, weight } = members[i] as Member;
        return usable(i) && inFlight + 1 <= Math.ceil((bound * load * weight) / total);
      };
      return total === 0 ? -1 : ring.find(key, hasRoom);
    },
  };
}
