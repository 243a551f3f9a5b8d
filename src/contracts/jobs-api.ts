import type { ApiProgress } from './api.ts';

/** A tool of the catalogue (`kind: job`) that is to be run. */
export interface ApiJobAsk {
  /** The id of its definition. */
  readonly tool: string;
  /** Handed to it as they are. */
  readonly args?: readonly string[];
  /** Where it works. An absolute path of the platform's machine, or one relative to `cwd`; without it an empty folder of its own. */
  readonly folder?: string;
  /** It works on a copy of the folder, which is left as it is. */
  readonly copy?: boolean;
  readonly cwd?: string;
  /** The model that it is to ask; the default one without it. */
  readonly model?: string;
  /** The text of its standard input. */
  readonly stdin?: string;
  /** `10m`; what its definition says without it. Counted from the start of the tool, not of the wait for its memory. */
  readonly timeLimit?: string;
  /** `1GiB`; what its definition says without it. */
  readonly memoryLimit?: string;
}

/**
 * `preparing`: its environment is made, or its folder copied. `queued`: it waits for memory, or for another run of the same
 * tool. `stopping`: it was called off and has not ended yet.
 */
export type ApiJobState = 'preparing' | 'queued' | 'running' | 'stopping' | 'ended';

/**
 * Why a run ended. `exited`: by itself. `cancelled`, `shutdown`: somebody asked. `time`, `memory`, `output`: it went over a
 * limit. `failed`: it could not be started. `interrupted`: the platform was killed while it ran.
 */
export type ApiJobEndReason =
  'exited' | 'cancelled' | 'shutdown' | 'time' | 'memory' | 'output' | 'failed' | 'interrupted';

export interface ApiJobEnd {
  readonly reason: ApiJobEndReason;
  /** The tool's own; null where it was ended by a signal, or never began. */
  readonly code: number | null;
  readonly signal: string | null;
  /** A sentence for people. */
  readonly message: string;
}

/** One run of a tool. Times are ISO 8601. */
export interface ApiJob {
  /** `aider.3f9c02ab` */
  readonly id: string;
  readonly tool: string;
  readonly args: readonly string[];
  /** Who asked for it. */
  readonly principal: string;
  readonly state: ApiJobState;
  readonly progress: ApiProgress | null;
  /** `own`: an empty one. `copy`: of the folder that was named. `place`: that folder itself. The first two are kept as long as the run is. */
  readonly folder: { readonly kind: 'own' | 'copy' | 'place'; readonly path: string };
  /** The model that its key is good for; null for a tool that is told of none. */
  readonly model: string | null;
  readonly limits: { readonly timeMs: number; readonly memoryBytes: number };
  /** What it weighs, and weighed at most. */
  readonly bytes: { readonly measured: number | null; readonly peak: number | null };
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly end: ApiJobEnd | null;
}

export interface ApiJobList {
  /** The newest first. */
  readonly jobs: readonly ApiJob[];
}

/** What a run wrote, piece by piece. */
export interface ApiJobOutput {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}
