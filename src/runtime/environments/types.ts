import type { OnProgress } from '#contracts/models';
import type { ProcessRun } from '#catalog/service';
import type { Clock } from '#kernel/clock';
import type { Logger } from '#kernel/logger';

export type NodeSpec = NonNullable<ProcessRun['node']>;
export type PythonSpec = NonNullable<ProcessRun['python']>;
export type EnvironmentKind = 'node' | 'python';

/** A folder of installed packages, ready to be run from. Its files are shared with others by hard links: nobody may change them in place. */
export interface Environment {
  /** `python-3f9a...`: the same for the same packages, interpreter and platform. */
  readonly id: string;
  /** Holds `node_modules` or `venv`. */
  readonly path: string;
  /** The folder of its commands, to come first in PATH; behind it the platform's Node, which the commands of Node packages need. */
  readonly bin: string;
  /** Variables that what runs in it should have. */
  readonly env: Readonly<Record<string, string>>;
}

export interface EnvironmentUsage {
  readonly id: string;
  readonly kind: EnvironmentKind;
  readonly packages: readonly string[];
  readonly path: string;
  /** What the interpreter said of itself: `3.11.7`. */
  readonly interpreter: string;
  /** Bytes on disk, each file counted once. */
  readonly bytes: number;
  /** Those of them that are hard links, so that other environments or the cache hold them too. */
  readonly sharedBytes: number;
  /** Milliseconds since the epoch. */
  readonly builtAt: number;
}

export interface EnvironmentList {
  readonly environments: readonly EnvironmentUsage[];
  /** Bytes of all of them together: a file that several hold is counted once. */
  readonly bytes: number;
}

export interface Pruned {
  /** A ruin that a broken build left has no packages. */
  readonly removed: readonly Pick<EnvironmentUsage, 'id' | 'packages'>[];
  /** Bytes that were given back; of a dry run those that at least would be. */
  readonly freed: number;
}

export interface EnsureOptions {
  readonly signal: AbortSignal;
  /** Called in steps, as the tools report them: packages resolved, fetched, linked. */
  readonly onProgress?: OnProgress;
}

export interface EnvironmentsOptions {
  /** Holds the environments, pnpm's store, uv's cache and uv itself: one file system, or nothing can be shared. */
  readonly dir: string;
  /** The interpreter to prefer for Python environments where it fits. */
  readonly python?: string;
  readonly log: Logger;
  readonly clock: Clock;
  /** The platform's own environment; what of it reaches the tools is said in `tool-env.ts`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * Environments by content: made on first use, found by what they hold ever after. Errors of all that build one:
 * START_FAILED with the tool's own last words, DISK_FULL, BAD_REQUEST for a package that is none, CANCELLED. A build
 * that fails or is left by all who wanted it leaves nothing but what the caches hold already.
 */
export interface Environments {
  /** The environment that a definition asks for; null when it asks for none. */
  ensure(run: Pick<ProcessRun, 'node' | 'python'>, options: EnsureOptions): Promise<Environment | null>;
  ensureNode(spec: NodeSpec, options: EnsureOptions): Promise<Environment>;
  ensurePython(spec: PythonSpec, options: EnsureOptions): Promise<Environment>;
  /** The id of the environment that `ensure` would find built; null when it would have to build it, or there is none. */
  find(run: Pick<ProcessRun, 'node' | 'python'>): string | null;
  /** Looks at every file of those that it has not weighed before: seconds for a large home. */
  list(): Promise<EnvironmentList>;
  /**
   * Removes the environments not named and what broken builds left, and then from the caches what no environment needs.
   * Never one that is being built, nor one that was handed out since this was opened: somebody may be about to run from it.
   * The caller keeps what an earlier platform's instance runs from.
   */
  prune(keep: Iterable<string>, options?: { readonly dryRun: boolean }): Promise<Pruned>;
}

/** What the builders of both kinds are given. */
export interface BuildContext {
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}
