/** What a trial by the way of a container needs of this machine, and what it must not leave there. */
import { randomBytes } from 'node:crypto';
import type { DockerRun } from '#catalog/service';
import type { RuntimeDriver } from '#contracts/runtime';
import runtimeDocker, { findSocket, whyNoEngine } from '#drivers/runtime/docker';
import { systemClock } from '#kernel/clock';
import { toFault } from '#kernel/faults';
import type { FaultCode } from '#kernel/faults';
import { silentLogger } from '#kernel/logger';

const host = { log: silentLogger, clock: systemClock, signal: new AbortController().signal };

/** The engine of this machine; null where none answers. */
export async function openEngine(): Promise<RuntimeDriver | null> {
  if (whyNoEngine(process.env) !== null) return null;
  return runtimeDocker.open({ owner: `fleet${randomBytes(4).toString('hex')}` }, host).catch(() => null);
}

/** In the words of the record, which is read on other machines: addresses and paths of this one are none of its business. */
const reasons: Partial<Record<FaultCode, string>> = {
  NOT_FOUND: 'its registry has no such image, or shows it to nobody',
  UPSTREAM_FAILED: 'its registry could not be reached',
  DISK_FULL: 'there is no room for its image',
};

interface Fetching {
  readonly signal: AbortSignal;
  say(text: string): void;
}

/** Why the image of a container cannot be had; null once it is here. */
export async function whyNotFetched(
  engine: Pick<RuntimeDriver, 'prepare'>,
  docker: DockerRun,
  { signal, say }: Fetching,
): Promise<string | null> {
  try {
    await engine.prepare?.(docker, { signal, onProgress: () => undefined });
    return null;
  } catch (error) {
    const { code, message } = toFault(error);
    say(`  ${message}`);
    return `a container only, and ${reasons[code] ?? 'its image could not be fetched'}`;
  }
}

/** Containers of platforms whose homes are in a folder, which there must be none of after a trial. */
export async function containersBelow(folder: string): Promise<string[]> {
  const { default: Docker } = await import('dockerode');
  const docker = new Docker({ socketPath: findSocket(process.env) });
  const found = await docker.listContainers({ all: true, filters: { label: [logLabel] } });
  return found
    .filter(({ Labels }) => Labels[logLabel]?.startsWith(`${folder}/`))
    .map(({ Names }) => `container ${Names.join(' ')}`);
}

const logLabel = 'ai.sutaz.log';
