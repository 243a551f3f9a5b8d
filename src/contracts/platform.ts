import type { Link } from '#kernel/link';

/** What it takes to run the platform in this process. */
export interface PlatformOptions {
  /** The home folder, absolute. Made when it is missing. */
  readonly home: string;
  /** The door's port; 0 lets the system choose. Left out, the configuration or 8080 decides. */
  readonly port?: number;
  /** The ledger's limit. Left out, the configuration, the cgroup or the machine decides. */
  readonly memoryBytes?: number;
  /** Absolute; left out, `<home>/sutaz.yaml` when it is there. */
  readonly configFile?: string;
  /** The process in whose place this one goes on; without it the home must be free. */
  readonly predecessor?: Link;
  /** Starts a process that is to go on in this one's place. Without it nothing can. */
  readonly launchSuccessor?: () => Successor;
  /** Called once, when `/readyz` answers 200. */
  onReady(info: PlatformReady): void;
}

/** A process that is to go on in this one's place. */
export interface Successor {
  readonly link: Link;
  readonly pid: number;
  /** Resolves when it has ended, with its last words. */
  readonly ended: Promise<string>;
  kill(): void;
}

export interface PlatformReady {
  readonly url: string;
  readonly pid: number;
  /** Where the first key is, readable by its owner only. */
  readonly keyFile: string;
}

/**
 * Runs the platform and resolves when it has ended. It answers SIGINT and SIGTERM by itself, by draining; the caller
 * installs no handler of its own. Rejects with a CONFLICT whose details are `{ url, pid }` when another platform holds
 * the home, and with the system's EADDRINUSE (as the error or its cause) when the port is taken.
 */
export type RunPlatform = (options: PlatformOptions) => Promise<void>;

/** `<home>/platform.json`, there from when the door listens until a clean stop. */
export interface PlatformFile {
  readonly url: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly version: string;
  /** Tells its process from a later one of the same number; null where the system has nothing that does. */
  readonly mark: string | null;
}
