import type { Shared, WiringEdge } from '../api/types.ts';
import { count, formatBytes, formatSpan } from '../ui/format.ts';

export interface Consumer {
  readonly id: string;
  /** How the key begins that it asks with; null while it does not run. */
  readonly key: string | null;
  readonly edges: readonly WiringEdge[];
}

/** Those that run or have asked for something, by name; with `all` the others too. */
export function consumersOf(edges: readonly WiringEdge[], all: boolean): Consumer[] {
  const byId = Map.groupBy(edges, ({ from }) => from);
  return [...byId]
    .filter(([, of]) => all || of.some(({ key, requests }) => key !== null || (requests ?? 0) > 0))
    .map(([id, of]) => ({ id, key: of[0]?.key ?? null, edges: of }))
    .toSorted((a, b) => (nameOf(a.id) < nameOf(b.id) ? -1 : 1));
}

/** `service/chroma` -> `chroma`; of what is no service its kind is said. */
export function nameOf(id: string): string {
  if (id === 'door') return 'the platform';
  const slash = id.indexOf('/');
  const kind = id.slice(0, slash);
  const name = id.slice(slash + 1);
  return kind === 'service' ? name : `${kind} ${name}`;
}

/** How it is asked, and how often it was. `now` in milliseconds since the epoch. */
export function traffic({ way, requests, lastSeen }: WiringEdge, now: number): string {
  if (way === 'direct') return 'has an account there';
  if (requests === null) return 'through the door';
  if (requests === 0 || lastSeen === null) return 'never asked';
  return `${count(requests, 'request')}, the last ${formatSpan(now - Date.parse(lastSeen))} ago`;
}

/** Null where nothing is spared: one user would have one provider, too. */
export function sparedBy({ provider, users, sparedBytes }: Shared): string | null {
  if (users.length < 2) return null;
  return `${nameOf(provider)} serves ${users.length}: ${formatBytes(sparedBytes)} spared`;
}
