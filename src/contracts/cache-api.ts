/** What `/sutaz/v1/cache` says of the answers that are kept. */
export interface ApiCache {
  readonly entries: number;
  readonly bytes: number;
  /** Bytes at most; 0 where nothing is kept. */
  readonly limitBytes: number;
  /** Milliseconds for which an answer is good. */
  readonly ageMs: number;
  readonly shared: boolean;
  /** Answers that made room for others. */
  readonly evicted: number;
  /** Requests to models since the platform started, by how they were dealt with. */
  readonly requests: ApiCacheRequests;
  /** What routes keep of the answers of services (`httpCache`), each for itself. */
  readonly routes?: readonly ApiRouteCache[];
}

export interface ApiRouteCache {
  readonly route: string;
  readonly entries: number;
  readonly bytes: number;
  readonly limitBytes: number;
  readonly shared: boolean;
  readonly evicted: number;
  /** Bytes of bodies that came from here, and so from no service. */
  readonly sparedBytes: number;
  /** Requests since the platform started, by how they were dealt with. */
  readonly requests: ApiRouteCacheRequests;
}

export interface ApiRouteCacheRequests {
  readonly hit: number;
  readonly miss: number;
  /** What was kept was too old, or not wanted, and the service said something new. */
  readonly stale: number;
  /** The same, and the service said that it is good still. */
  readonly revalidated: number;
  /** Waited for the answer to another one. */
  readonly collapsed: number;
  /** Was not to be kept. */
  readonly bypass: number;
}

export interface ApiCacheRequests {
  readonly hit: number;
  readonly miss: number;
  /** What was kept was too old. */
  readonly stale: number;
  /** Waited for the answer to another one. */
  readonly collapsed: number;
  /** Wanted it anew. */
  readonly 'asked-anew': number;
  /** Was not to be kept. */
  readonly bypass: number;
}

export interface ApiCleared {
  /** Answers. */
  readonly cleared: number;
}
