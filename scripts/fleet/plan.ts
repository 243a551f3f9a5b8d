import { nodePackages } from '#catalog/service';
import type { ServiceDefinition } from '#catalog/service';

export type Way = 'process' | 'docker';

export type Plan = { readonly way: Way } | { readonly way: null; readonly why: string };

/** What this machine has, as far as it decides how a service is run. */
export interface Machine {
  readonly hasGpu: boolean;
  /** Whether containers can be run: an engine answers, and the platform can use it. */
  readonly hasDocker: boolean;
}

/** How a service can be tried on this machine, or why it can't. */
export function planTrial({ run, resources, kind, models }: ServiceDefinition, machine: Machine): Plan {
  const not = (why: string): Plan => ({ way: null, why });
  if (resources.gpu === 'required' && !machine.hasGpu) return not('needs a graphics card');
  if (kind === 'engine' && models === 'remote') return not('needs a server that runs elsewhere');
  const { process, docker } = run;
  const isPackaged = process !== undefined && (!process.node || nodePackages(process.node) !== null);
  if (isPackaged) return { way: 'process' };
  if (docker && machine.hasDocker) return { way: 'docker' };
  if (docker) return not('a container only');
  return process ? not('has no packages for this platform') : not('runs elsewhere only');
}

/** The release that a definition asks for; null where the machine's own program is run. */
export function versionOf({ run }: ServiceDefinition, way: Way | null): string | null {
  const { process, docker } = run;
  const first = process?.python?.packages[0] ?? process?.node?.packages[0];
  if (way !== 'docker' && first !== undefined) return /(?:==|.@)([\w.+-]+)$/.exec(first)?.[1] ?? null;
  return way === 'process' ? null : (/:([^:/@]+)$/.exec(docker?.image ?? '')?.[1] ?? null);
}

/**
 * Which program the machine lacks, where a start failed for that alone; null otherwise. One that an environment was to bring is a
 * mistake of the definition.
 */
export function absentProgram({ run }: ServiceDefinition, error: string): string | null {
  if (run.process?.python || run.process?.node) return null;
  return (
    /the command "([^"]+)" was not found/.exec(error)?.[1] ??
    /(\S+) is not on this machine(?:'s PATH|\. To have it)/.exec(error)?.[1] ??
    null
  );
}
