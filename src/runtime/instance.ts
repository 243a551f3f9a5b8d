import type { InstanceHandle } from '#contracts/runtime';
import type { UnitId } from '#kernel/ids';
import type { InstanceRecord } from './records.ts';

/** An instance on its way up. `handle` is there once its process is. */
export interface Starting {
  readonly state: 'starting';
  readonly abort: AbortController;
  handle: InstanceHandle | null;
  /** How far it says it is, 0 to 100. */
  percent?: number;
  what?: string;
}

export type Running = InstanceRecord & { readonly handle: InstanceHandle };

/** The life of one instance. A field exists only where it means something. */
export type Instance =
  | Starting
  | { readonly state: 'running'; readonly record: Running }
  /** `lookAt`: the time of its next measurement. */
  | { readonly state: 'frozen'; readonly record: Running; lookAt: number }
  | { readonly state: 'stopping' };

/** How an end or a change of an instance reaches the rest of the platform. */
export interface Outcomes {
  /** An instance is about to exist, and may soon ask the door for things. */
  begun(record: InstanceRecord): void;
  /** It is gone, for whatever reason. */
  ended(unit: UnitId): void;
  started(unit: UnitId): void;
  failed(unit: UnitId, message: string, permanent: boolean): void;
  exited(unit: UnitId, message: string): void;
  stopped(unit: UnitId): void;
  frozen(unit: UnitId): void;
  thawed(unit: UnitId): void;
  measured(unit: UnitId, bytes: number): void;
}

export interface InstanceLogs {
  file(unit: UnitId): string;
  /** Bytes that are in it: what earlier instances wrote, when asked before a start. */
  size(unit: UnitId): Promise<number>;
  /** The last lines of an instance's log, for an error's reason. */
  last(unit: UnitId, lines: number): Promise<readonly string[]>;
  /** Keeps the file within its bound. */
  bound(unit: UnitId): Promise<void>;
}

export interface Failure {
  readonly message: string;
  readonly log: readonly string[];
}
