/** What `/sutaz/v1/environments` says of the packages that services run from. Times are ISO 8601, sizes bytes on disk. */
export interface ApiEnvironments {
  readonly environments: readonly ApiEnvironment[];
  /** Of all of them together: a file that several hold is counted once. */
  readonly bytes: number;
}

export interface ApiEnvironment {
  /** `python-3f9a...`: equal packages for the same interpreter are one. */
  readonly id: string;
  readonly kind: 'node' | 'python';
  readonly packages: readonly string[];
  /** Its version. */
  readonly interpreter: string;
  readonly path: string;
  readonly builtAt: string;
  readonly bytes: number;
  /** Those of them that another environment or the cache holds, too. */
  readonly sharedBytes: number;
  /** Definitions that run from it. */
  readonly users: readonly string[];
  /** What runs from it now. */
  readonly instances: readonly string[];
}

export interface ApiPruneAsk {
  /** Only says what would go. */
  readonly dryRun?: boolean;
}

export interface ApiPruned {
  readonly dryRun: boolean;
  /** What a broken build left has no packages. */
  readonly removed: readonly Pick<ApiEnvironment, 'id' | 'packages'>[];
  /** Of the caches as well; for a dry run those that at least would be. */
  readonly freed: number;
}
