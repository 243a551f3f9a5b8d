import type { ApiRouteCache } from '#contracts/cache-api';
import { Fault } from '#kernel/faults';
import { didYouMean } from '#kernel/nearest';
import type { RouteTable } from '../routes/table.ts';
import type { HttpCache } from './serve.ts';

/** By what answers of services are forgotten: all that is given must fit. */
export interface Forgetting {
  readonly route?: string;
  /** A word of the answer's `Cache-Tag`. */
  readonly tag?: string;
  /** To whom it was given; one that all share was given to nobody alone. */
  readonly principal?: string;
}

type Tables = Pick<RouteTable, 'routes'> | null;

const cachesOf = (table: Tables): readonly (readonly [route: string, cache: HttpCache])[] =>
  (table?.routes ?? []).flatMap(({ name, keeping }) => (keeping ? [[name, keeping] as const] : []));

export const routeCaches = (table: Tables): readonly ApiRouteCache[] =>
  cachesOf(table).map(([route, { settings, store, use }]) => ({
    ...{ route, entries: store.entries, bytes: store.bytes, limitBytes: settings.memory, shared: settings.shared },
    ...{ evicted: use.evicted, sparedBytes: use.sparedBytes, requests: { ...use.requests } },
  }));

/** Returns how many. Throws NOT_FOUND for a route that keeps nothing, with the nearest that does. */
export function clearRouteCaches(table: Tables, { route, tag, principal }: Forgetting): number {
  const all = cachesOf(table);
  const meant = all.filter(([name]) => route === undefined || name === route);
  if (route !== undefined && meant.length === 0) {
    const names = all.map(([name]) => name);
    throw new Fault('NOT_FOUND', `No route called ${route} has a cache (httpCache).${didYouMean(route, names)}`);
  }
  const fits = (answer: { readonly caller: string; readonly tags: readonly string[] }): boolean =>
    (tag === undefined || answer.tags.includes(tag)) && (principal === undefined || answer.caller === principal);
  return meant.reduce((sum, [, { store }]) => sum + store.clear(fits), 0);
}

/** A new table's caches begin empty; what came of those before them goes on being counted. */
export function goOnCounting(next: Tables, before: Tables): void {
  const known = new Map(cachesOf(before));
  for (const [route, { use }] of cachesOf(next)) {
    const old = known.get(route)?.use;
    if (!old) continue;
    Object.assign(use.requests, old.requests);
    Object.assign(use, { sparedBytes: old.sparedBytes, evicted: old.evicted });
  }
}
