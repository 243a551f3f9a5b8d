import type { InstanceId, UnitId } from '#kernel/ids';
import type { Driver, Json } from './driver.ts';
import type { OnProgress } from './models.ts';

/** An image by its tag. With a digest it is that one and no other, whatever the tag says by now. */
export interface ImageSpec {
  readonly image: string;
  readonly digest?: string;
}

/** What an instance is beside its command where it runs in a container. */
export interface ContainerSpec extends ImageSpec {
  /** The port that it listens on inside, and the address of this machine under which the door reaches it. */
  readonly publish: { readonly inside: number; readonly host: string; readonly port: number };
  readonly mounts: readonly { readonly source: string; readonly target: string; readonly readOnly: boolean }[];
  /** Who it runs as, `1000:1000`; as its image says without it. */
  readonly user?: string;
  /** Whether it may write nothing but its mounts and /tmp. */
  readonly readOnly: boolean;
  /** Whether its first process is one that ends children nobody waits for, and passes signals on. */
  readonly init: boolean;
  /** Containers of one group reach one another by their services' ids; without one it is reached by nobody but the door. */
  readonly group?: string;
  /** The ports of this machine's loopback address that it reaches as `host.docker.internal`; absent, it knows no such name. */
  readonly reaches?: readonly number[];
  readonly limits: ContainerLimits;
}

/** Beyond which the kernel does not let it go. Absent is unlimited. */
export interface ContainerLimits {
  /** Bytes. */
  readonly memory?: number;
  /** Cores, also in parts. */
  readonly cpu?: number;
  /** Processes and threads. */
  readonly pids?: number;
}

/** Everything a driver needs to make one instance; all placeholders are filled in. */
export interface InstanceSpec {
  readonly id: InstanceId;
  readonly unit: UnitId;
  /** Empty only for a container that runs what its image says. */
  readonly argv: readonly string[];
  /** The whole environment: nothing is inherited, so that no secret of the platform's own reaches a service. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Where both output streams are appended. `runtime/logs.ts` bounds it, by truncating it while it is written to. */
  readonly logFile: string;
  /** Where its standard error is appended in place of there. */
  readonly errorFile?: string;
  /** What its standard input is read from; nothing without it. */
  readonly inputFile?: string;
  /** What the ledger reserved. A driver whose traits say so enforces it. */
  readonly memoryBytes: number;
  /**
   * How much sooner than the platform the kernel is to take it, and all it starts, when memory runs out: 0 to 1000, in
   * thousandths of the memory. 500 without it. A driver does what it may.
   */
  readonly oomScoreAdj?: number;
  /** Drivers of containers need it; the others refuse it. */
  readonly container?: ContainerSpec;
  /** What keeps it within its bounds; without it nothing but its reservation does. */
  readonly confine?: Confinement;
}

/** How an instance is confined. A driver does as much of the limits as the machine lets it, and all of the rest. */
export interface Confinement {
  /** Whom it runs as, by number; without it as the platform. Everything it needs is readable for them already. */
  readonly user?: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] };
  readonly limits: InstanceLimits;
  /** Without it, it reaches what its user does. */
  readonly files?: FileBounds;
}

/** The files that an instance reaches, whoever it runs as. Absolute paths without links. */
export interface FileBounds {
  /** A folder of which it sees nothing but what is named here; of everything else it may read what its user may. */
  readonly hidden: string;
  readonly readable: readonly string[];
  /** All that it may write. These must exist, and none may have the hidden folder in it. */
  readonly writable: readonly string[];
  /** A driver that cannot bound files refuses it with NOT_SUPPORTED; otherwise it goes on without. */
  readonly required: boolean;
}

/** Bounds of an instance with all that it starts: backstops, well above what it is expected to take. */
export interface InstanceLimits {
  readonly memoryBytes: number;
  /** Processes and threads. */
  readonly processes: number;
  /** Its part of the CPU where others want it too, of 1 to 10000; 100 is an even one. */
  readonly cpuWeight: number;
}

/** Plain JSON, so that it outlives this process. `state` belongs to the driver; `version` lets it upgrade. */
export interface InstanceHandle {
  readonly driver: string;
  readonly version: number;
  readonly id: InstanceId;
  readonly unit: UnitId;
  readonly state: Json;
}

export type InstanceStatus =
  | { readonly state: 'running' | 'frozen'; readonly pid: number | null; readonly memoryBytes: number }
  /** `code` is null when a signal ended it, or when it ended unseen, under an earlier process of the platform. */
  | {
      readonly state: 'exited';
      readonly code: number | null;
      readonly signal: string | null;
      readonly oomKilled: boolean;
      /** The bytes that it was allowed, where it was killed for wanting more. */
      readonly limitBytes?: number;
      /** What is known beyond that, as the end of a sentence: `while the Docker engine was away`. */
      readonly circumstance?: string;
    };

export type ExitedStatus = Extract<InstanceStatus, { state: 'exited' }>;

/**
 * Makes, watches and ends instances. An instance lives as long as its first process: when that ends, asked to or not, the
 * driver ends whatever it left behind (a daemon, an orphan) and only then says that it ended.
 *
 * Its life in order: `start` (or `recover`, after a restart of the platform), then any
 * of `inspect`, `freeze`, `thaw`, then `stop`. An absent optional method means that the driver cannot do it.
 */
export interface RuntimeDriver extends Driver {
  /** `boundsFiles`: what a spec says of files holds. */
  readonly traits: Readonly<{ survivesRestart: boolean; enforcesMemory: boolean; boundsFiles?: boolean }>;
  /**
   * Resolves when the instance exists (not when it is healthy). Leaves nothing behind when it throws: START_FAILED when
   * the command cannot be run, CONFLICT when the id is taken, CANCELLED when the signal aborted.
   */
  start(spec: InstanceSpec, signal: AbortSignal): Promise<InstanceHandle>;
  /** Reattaches to an instance that an earlier process started; null once it is gone, with nothing of it left. */
  recover(handle: InstanceHandle): Promise<InstanceHandle | null>;
  /**
   * An instance that an earlier process started and had no time to note the handle of. Absent where nothing of an
   * instance but its handle leads to it.
   */
  find?(id: InstanceId, unit: UnitId): Promise<InstanceHandle | null>;
  /** Fetches what an instance is made of, where that is not here yet; `start` does so too, and tells nobody how far it is. */
  prepare?(image: ImageSpec, options: { signal: AbortSignal; onProgress: OnProgress }): Promise<void>;
  /** Memory is the proportional set size (PSS) of everything the instance runs, in bytes. */
  inspect(handle: InstanceHandle): Promise<InstanceStatus>;
  /**
   * Asks it to end, insists after the grace, and resolves when the instance and all it started are gone and `onExit` has
   * been told. Stopping a stopped instance is not an error; two stops are one, with the shorter grace. Works for a
   * handle that was never recovered, too.
   */
  stop(handle: InstanceHandle, graceMs: number): Promise<void>;
  /** The instances started or recovered here that have not ended. */
  list(): Promise<InstanceHandle[]>;
  /** Calls back once for each instance that ends, asked for or not; for one that ended before the call, never. */
  onExit(listener: (handle: InstanceHandle, status: ExitedStatus) => void): () => void;
  /** Stops it from using the CPU and keeps its memory. Freezing a frozen instance is not an error; an ended one: CONFLICT. */
  freeze?(handle: InstanceHandle): Promise<void>;
  thaw?(handle: InstanceHandle): Promise<void>;
  /**
   * Has the system take back at most so many bytes of a frozen instance's memory, into swap or out of the file cache, as
   * far as it can without the instance's help, until the signal aborts. Resolves with the bytes that came free: 0 where
   * there is nothing to take it to. They come back as the instance touches them.
   */
  reclaim?(handle: InstanceHandle, bytes: number, signal: AbortSignal): Promise<number>;
}
