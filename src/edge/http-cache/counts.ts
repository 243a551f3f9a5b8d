/** How requests of a route were dealt with, since the platform started. */
export interface HttpCacheCounts {
  /** Answered by what is kept. */
  hit: number;
  /** Waited for the answer to another one. */
  collapsed: number;
  /** Nothing was kept of it, or not for this caller in this form. */
  miss: number;
  /** What was kept was too old, or the client wanted it anew, and the service said something new. */
  stale: number;
  /** The same, and the service said that it is good still (304). */
  revalidated: number;
  /** Was not to be kept: another method, a part, `no-store`. */
  bypass: number;
}

/** What one route has kept, and what came of it. */
export interface HttpCacheUse {
  readonly requests: HttpCacheCounts;
  /** Bytes of bodies that came from here, and so from no service. */
  sparedBytes: number;
  /** Answers that made room for others. */
  evicted: number;
}

export const newUse = (): HttpCacheUse => ({
  requests: { hit: 0, collapsed: 0, miss: 0, stale: 0, revalidated: 0, bypass: 0 },
  ...{ sparedBytes: 0, evicted: 0 },
});
