import { mkdir, realpath } from 'node:fs/promises';
import { join, normalize, relative } from 'node:path';
import type { DockerRun } from '#catalog/service';
import type { ContainerSpec } from '#contracts/runtime';
import { Fault } from '#kernel/faults';
import { fill } from './blueprint.ts';

/** The name by which a container reaches this machine. */
const thisMachine = 'host.docker.internal';

/**
 * What placeholders mean inside a container: it listens on every address of its own, its folders are where they are
 * mounted, and what is on this machine's loopback address is elsewhere. A folder that is not mounted means nothing.
 */
export function valuesInside(
  { port, volumes }: DockerRun,
  outside: Readonly<Record<string, string>>,
): Record<string, string> {
  const { data: _data, service: _service, home: _home, env: _env, ...rest } = outside;
  const moved = Object.entries(rest).map(([name, value]) => [name, value.replaceAll('127.0.0.1', thisMachine)]);
  const folders = { data: volumes['{data}'], service: volumes['{service}'] };
  const mounted = Object.entries(folders).filter(([, place]) => place !== undefined);
  return { ...Object.fromEntries([...moved, ...mounted]), host: '0.0.0.0', port: String(port) };
}

/** The container of an instance, with the folders it mounts made. */
export async function containerSpec(
  run: DockerRun,
  record: { readonly host: string; readonly port: number },
  outside: Readonly<Record<string, string>>,
  texts: readonly string[],
  place: string,
): Promise<ContainerSpec> {
  const { image, digest, user, group, readOnly, init, limits } = run;
  const mounts = Object.entries(run.volumes).map(([folder, target]) => ({
    ...{ source: normalize(fill(folder, outside, `${place}: volumes`)), target },
    // The files of a definition are the same for everyone who runs it.
    readOnly: folder.startsWith('{service}'),
  }));
  for (const { source, readOnly: kept } of mounts)
    if (!kept) await makeFolder(source, outside['data'] ?? source, place);
  return {
    ...{ image, mounts, readOnly, init },
    publish: { inside: run.port, host: record.host, port: record.port },
    limits,
    ...(texts.some((text) => text.includes(thisMachine)) && { reaches: portsOf(outside) }),
    ...(digest !== undefined && { digest }),
    ...(user !== undefined && { user }),
    ...(group !== undefined && { group }),
  };
}

/** The ports of this machine in the addresses that an instance is told. */
function portsOf(values: Readonly<Record<string, string>>): number[] {
  const found = Object.values(values).flatMap((value) => [...value.matchAll(/\b127\.0\.0\.1:(\d+)/g)]);
  return [...new Set(found.map(([, port]) => Number(port)))].sort((a, b) => a - b);
}

/**
 * What it writes to is mounted, and given away, as it is found: a link that the service itself has left there would make any
 * folder of this machine its own.
 */
async function makeFolder(path: string, dataDir: string, place: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  if ((await realpath(path)) === join(await realpath(dataDir), relative(dataDir, path))) return;
  throw new Fault('START_FAILED', `${place}: ${path} leads elsewhere by a link, and is not mounted.`);
}
