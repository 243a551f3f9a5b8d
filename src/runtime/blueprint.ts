import type { DockerRun, HealthCheck, ProcessRun } from '#catalog/service';
import { Fault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { didYouMean } from '#kernel/nearest';
import type { SandboxMode } from './sandbox/sandbox.ts';

/** How one unit is run, as its definition and the configuration say; placeholders not yet filled in. */
export interface Blueprint {
  readonly unit: UnitId;
  readonly run: ProcessRun;
  /** The container that it is to be, where it is not a process: `run` is then its command, empty where its image has one. */
  readonly docker?: DockerRun;
  readonly health: HealthCheck;
  /** Milliseconds from the process's start until it must be healthy. */
  readonly startupTimeoutMs: number;
  /** Milliseconds between the request to end and the kill. */
  readonly stopGraceMs: number;
  /** A path that tells the bytes it takes outside of its own processes. */
  readonly weight?: string;
  /** How much sooner than the platform the kernel is to take it when memory runs out, 0 to 1000: `oom.ts`. */
  readonly oomScoreAdj: number;
  /** Cores that it is said to use; one without it. */
  readonly cpu?: number;
  /** How it is confined, when the configuration says so of this one. */
  readonly sandbox?: SandboxMode | undefined;
  /** Folders beside its own that it may write: `/dev/shm`. */
  readonly writes?: readonly string[];
  /** The folder of the definition. */
  readonly serviceDir: string;
  /** Where its data lives; made before the start. */
  readonly dataDir: string;
  /** Extra variables: what it consumes, and what the user set. Placeholders allowed. */
  readonly env: Readonly<Record<string, string>>;
  /** Values of its own for placeholders: `model.path`, `threads`. */
  readonly values: Readonly<Record<string, string>>;
  /** What stands for `{args}` in the command. */
  readonly args?: readonly string[];
  /** Where a run of a tool works; a service works in its data. */
  readonly work?: Work;
}

/** The folders of one run. */
export interface Work {
  readonly path: string;
  /** Whether it was made for the run, and is not a folder of somebody's. */
  readonly isOwn: boolean;
  /** For its temporary files. */
  readonly temporary: string;
}

const placeholder = /\{([a-z][\w.-]*)\}/gi;

/** Fills in `{name}`s. An unknown one is an error that names the nearest right one; other braces stay as they are. */
export function fill(template: string, values: Readonly<Record<string, string>>, place: string): string {
  return template.replace(placeholder, (_, name: string) => {
    // Own ones alone: every object has a `constructor`.
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value !== undefined) return value;
    const known = Object.keys(values);
    throw new Fault('START_FAILED', `${place}: nothing is known as {${name}}.${didYouMean(name, known)}`);
  });
}

/** All of an environment's templates, filled in. */
export function fillAll(
  templates: Readonly<Record<string, string>>,
  values: Readonly<Record<string, string>>,
  place: string,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(templates).map(([name, template]) => [name, fill(template, values, `${place}.${name}`)]),
  );
}
