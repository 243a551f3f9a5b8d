import { basename } from 'node:path';
import type { ContainerCreateOptions, HostConfig } from 'dockerode';
import type { ContainerSpec, InstanceHandle, InstanceSpec } from '#contracts/runtime';
import { Fault } from '#kernel/faults';
import { parseUnitId } from '#kernel/ids';
import type { InstanceId, UnitId } from '#kernel/ids';

/** By these an instance is found again. `owner` keeps the platforms of one engine apart. */
export const labels = {
  owner: 'ai.sutaz.owner',
  instance: 'ai.sutaz.instance',
  unit: 'ai.sutaz.unit',
  logFile: 'ai.sutaz.log',
  digest: 'ai.sutaz.digest',
  reaches: 'ai.sutaz.reaches',
} as const;

/** What the driver keeps of an instance across restarts of the platform. */
export type DockerState = {
  readonly container: string;
  readonly logFile: string;
  /** Of the image that it was made of, whatever its tag says by now. */
  readonly digest: string;
};

/** Processes and threads of one that names no limit: no service has so many, a fork bomb has them in a second. */
const defaultPids = 4096;
/** The engine's own copy of what it says, from which ours is written: bounded, since ours is what is kept. */
const engineLog = { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '2' } };

interface Surroundings {
  readonly owner: string;
  readonly network: string;
  readonly digest: string;
  readonly imageId: string;
  /** Where it finds this machine; null where it need not. */
  readonly hostAddress: string | null;
}

/** A unit's container as the engine is asked to make it. `env` is the instance's; what its image sets, it adds to. */
export function containerOptions(
  spec: InstanceSpec & { readonly container: ContainerSpec },
  { owner, network, digest, imageId, hostAddress }: Surroundings,
): ContainerCreateOptions {
  const { container, id, unit } = spec;
  const port = `${container.publish.inside}/tcp`;
  return {
    name: `sutaz-${id}`,
    Image: imageId,
    ...(spec.argv.length > 0 && { Cmd: [...spec.argv] }),
    ...(container.user !== undefined && { User: container.user }),
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    Labels: {
      [labels.owner]: owner,
      [labels.instance]: id,
      [labels.unit]: unit,
      [labels.logFile]: spec.logFile,
      [labels.digest]: digest,
      ...(container.reaches && { [labels.reaches]: container.reaches.join(',') }),
    },
    ExposedPorts: { [port]: {} },
    HostConfig: hostConfig(spec, port, network, hostAddress),
    NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: [aliasOf(unit)] } } },
  };
}

function hostConfig(
  { container, oomScoreAdj = 500 }: InstanceSpec & { readonly container: ContainerSpec },
  port: string,
  network: string,
  hostAddress: string | null,
): HostConfig {
  const { publish, limits, mounts, readOnly, init } = container;
  return {
    NetworkMode: network,
    PortBindings: { [port]: [{ HostIp: publish.host, HostPort: String(publish.port) }] },
    Mounts: mounts.map(({ source, target, readOnly: ro }) => ({
      ...{ Type: 'bind' as const, Source: source, Target: target, ReadOnly: ro },
    })),
    ReadonlyRootfs: readOnly,
    ...(readOnly && { Tmpfs: { '/tmp': 'rw,nosuid,nodev' } }),
    Init: init,
    ...(hostAddress !== null && { ExtraHosts: [`host.docker.internal:${hostAddress}`] }),
    SecurityOpt: ['no-new-privileges'],
    // Of the engine's usual capabilities those that no service needs: forging packets, making device files.
    CapDrop: ['NET_RAW', 'MKNOD'],
    // The platform starts it again when someone asks, and nobody else does.
    RestartPolicy: { Name: '' },
    OomScoreAdj: oomScoreAdj,
    PidsLimit: limits.pids ?? defaultPids,
    LogConfig: engineLog,
    // Swap counts in: a service that has outgrown its memory is told so, instead of becoming slow.
    ...(limits.memory !== undefined && { Memory: limits.memory, MemorySwap: limits.memory }),
    ...(limits.cpu !== undefined && { NanoCpus: Math.round(limits.cpu * 1e9) }),
  };
}

/** A name that others of its group know it by: `service/chroma` is `chroma`. */
const aliasOf = (unit: UnitId): string => parseUnitId(unit).name.replaceAll(/[^\w.-]/g, '-');

export const handleOf = (id: InstanceId, unit: UnitId, state: DockerState): InstanceHandle => ({
  ...{ driver: 'runtime.docker', version: 1, id, unit, state },
});

/** The handle of a container, from nothing but its labels; null when they are not ours. */
export function handleFromLabels(container: string, found: Readonly<Record<string, string>>): InstanceHandle | null {
  const { [labels.instance]: id, [labels.unit]: unit, [labels.logFile]: logFile, [labels.digest]: digest } = found;
  if (!id || !unit || !logFile || !digest) return null;
  return handleOf(id as InstanceId, unit as UnitId, { container, logFile, digest });
}

/** The ports that a container was told of. */
export const reachesOf = (found: Readonly<Record<string, string>>): number[] =>
  (found[labels.reaches] ?? '').split(',').filter(Boolean).map(Number);

export function readState(handle: InstanceHandle): DockerState {
  const { driver, version, state } = handle;
  if (driver !== 'runtime.docker' || version !== 1 || !isState(state)) {
    throw new Fault('BAD_REQUEST', `The handle of ${handle.id} is not one of runtime.docker, version 1.`);
  }
  return state;
}

function isState(state: unknown): state is DockerState {
  const { container, logFile, digest } = (state ?? {}) as Partial<DockerState>;
  return [container, logFile, digest].every((text) => typeof text === 'string');
}

/** Where the program of a command may be within an image. None when its image says what begins it. */
export function programPaths(
  argv: readonly string[],
  image: { readonly entrypoint: boolean; readonly path: string },
): string[] {
  const [program] = argv;
  if (program === undefined || image.entrypoint) return [];
  if (program.includes('/')) return [program];
  return image.path.split(':').flatMap((folder) => (folder === '' ? [] : [`${folder}/${program}`]));
}

/** How the tag of an image is told from the port of its registry: `host:5000/name` has none. */
export function splitTag(image: string): { readonly name: string; readonly tag: string | null } {
  const colon = basename(image).lastIndexOf(':');
  if (colon < 0) return { name: image, tag: null };
  const at = image.length - basename(image).length + colon;
  return { name: image.slice(0, at), tag: image.slice(at + 1) };
}
