import type { ApiFileProblem } from '#contracts/api';
import type { ApiPlan } from '#contracts/explanations';
import type { RunPlatform } from '#contracts/platform';
import type { Clock } from '#kernel/clock';
import type { HomePaths } from '../home.ts';
import type { Client as Http } from '../http.ts';
import type { Client } from '../sdk.ts';
import type { CommandTable } from './command.ts';

/** The terminal, or what stands for it. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  out(text: string): void;
  err(text: string): void;
  /** Resolves when what was written to `out` has left, so that a slow reader slows the writer. */
  drained(): Promise<void>;
  readonly outTty: boolean;
  readonly errTty: boolean;
  readonly inTty: boolean;
  /** All of the standard input. */
  readInput(): Promise<string>;
  /** Characters a line of the terminal holds. */
  columns(): number;
  /** Makes what asks on the terminal for a line; null at the end of the input, and for Ctrl-C at the prompt. */
  prompt(text: string): () => Promise<string | null>;
}

/** What the command line needs of the rest of the program, handed in so that the clients import none of it. */
export interface Composition {
  readonly version: string;
  /** The command that starts this program again. */
  readonly self: readonly [string, ...string[]];
  readonly runPlatform: RunPlatform;
  validateCatalog(options: ValidateOptions): Promise<CatalogReport>;
  /** The graphics cards of this machine: name and bytes of each; null without a program that knows. Throws why it fails. */
  gpus(env: NodeJS.ProcessEnv): Promise<readonly GpuFacts[] | null>;
  /** What bounds the services of a home on this machine. Tried, so that it takes some milliseconds. */
  confinement(home: string): Promise<ConfinementFacts>;
  /** The issuers of tokens that a home's configuration names, asked now, and what is wrong with each. Takes ten seconds at most. */
  issuers(home: string, env: NodeJS.ProcessEnv): Promise<readonly IssuerFacts[]>;
  /** The plan of a platform that does not run, from what is on the disk. */
  planOffline(options: PlanOptions): Promise<ApiPlan>;
}

export interface GpuFacts {
  readonly name: string;
  /** Null where it does not tell. */
  readonly totalBytes: number | null;
  readonly usedBytes?: number | null;
}

export interface IssuerFacts {
  readonly issuer: string;
  /** Why its keys cannot be had; null where they can. */
  readonly problem: string | null;
}

export interface ConfinementFacts {
  /** `rlimit`: of each process, not of all together. */
  readonly memory: 'cgroup' | 'rlimit';
  /** `user`: those of a user are counted, where a service has one of its own. */
  readonly processes: 'cgroup' | 'user';
  readonly cpu: 'cgroup' | 'none';
  /** What keeps services and runs of tools to their folders. */
  readonly files: 'landlock' | 'none';
  /** Why no service gets a user of its own; null where each does. */
  readonly noUsers: string | null;
}

export interface PlanOptions {
  /** The home folder, absolute. */
  readonly home: string;
  readonly names: readonly string[];
  /** Another limit than the one that would hold; null for that. */
  readonly limitBytes: number | null;
}

export interface ValidateOptions {
  /** The user's own definitions. */
  readonly catalog: string;
  /** Absolute paths; when there are none, everything is checked. */
  readonly files: readonly string[];
}

export interface CatalogReport {
  /** How many definitions were checked. */
  readonly checked: number;
  readonly problems: readonly ApiFileProblem[];
}

/** A platform: the calls of its control API by name, and whatever else it answers. */
export type Connection = Client & Http;

/** What a command runs in. */
export interface Context extends Io {
  readonly clock: Clock;
  readonly json: boolean;
  readonly home: HomePaths;
  readonly composition: Composition;
  readonly commands: CommandTable;
  /** The platform of this home. Exit code 3 when none runs. */
  connect(): Promise<Connection>;
  /** From the first call on, Ctrl-C aborts this signal; a second one ends the process. */
  interrupt(): AbortSignal;
  /** JSON on one line. */
  printJson(value: unknown): void;
}
