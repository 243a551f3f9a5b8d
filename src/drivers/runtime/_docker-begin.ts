import type Dockerode from 'dockerode';
import { throwIfAborted } from '#kernel/abort';
import { Fault, systemCode } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import type { ContainerSpec, InstanceHandle, InstanceSpec } from '#contracts/runtime';
import { containerOptions, handleOf, programPaths } from './_docker-container.ts';
import { isGone, statusOf, wordsOf, type Engine } from './_docker-engine.ts';
import { ensureImage, type Image } from './_docker-images.ts';
import type { Container, Containers } from './_docker-instances.ts';
import { openLog } from './_docker-log.ts';
import type { Gateways } from './_docker-gateways.ts';
import type { Networks } from './_docker-networks.ts';
import { giveMounts } from './_docker-owners.ts';

interface BeginDeps {
  readonly engine: Engine;
  readonly owner: string;
  readonly networks: Networks;
  readonly gateways: Gateways;
  readonly containers: Containers;
  readonly log: Logger;
}

type Spec = InstanceSpec & { readonly container: ContainerSpec };

/** Makes and starts a container, and tracks it. Leaves nothing when it throws. */
export async function beginContainer(spec: Spec, signal: AbortSignal, deps: BeginDeps): Promise<InstanceHandle> {
  await checkLog(spec);
  const image = await ensureImage(deps.engine, spec.container, { signal });
  const network = await deps.networks.acquire(spec.container.group);
  let made: Container;
  try {
    made = await withWays(spec, network, deps, (hostAddress) => make(spec, image, { network, hostAddress }, deps));
  } catch (error) {
    // It may have been made by an engine that left before it said so.
    if (statusOf(error) === undefined) deps.containers.removeLater(spec.id);
    await deps.networks.release(network).catch(() => undefined);
    throw error;
  }
  const item = deps.containers.track(made);
  try {
    await checkProgram(spec, image, made.container);
    await giveMounts(spec.container, image.user, made.container);
    throwIfAborted(signal);
    await made.container.start();
    throwIfAborted(signal);
  } catch (error) {
    deps.containers.drop(item);
    await deps.containers.remove(made).catch((left: unknown) => {
      deps.log.error('a container could not be removed', { id: spec.id, error: String(left) });
      deps.containers.removeLater(spec.id);
    });
    throw startFault(spec, error);
  }
  deps.containers.begin(item, 0n);
  return made.handle;
}

/** Opens what it is to reach of this machine, before it can ask there. */
async function withWays<T>(
  { id, container: { reaches } }: Spec,
  network: string,
  { networks, gateways }: BeginDeps,
  work: (hostAddress: string | null) => Promise<T>,
): Promise<T> {
  if (!reaches) return work(null);
  const hostAddress = await gateways.open(id, await networks.place(network), reaches);
  try {
    return await work(hostAddress);
  } catch (error) {
    gateways.close(id);
    throw error;
  }
}

async function make(
  spec: Spec,
  image: Image,
  at: { readonly network: string; readonly hostAddress: string | null },
  { engine, owner }: BeginDeps,
): Promise<Container> {
  const { id, unit, logFile } = spec;
  const { digest, stopSignal } = image;
  try {
    const options = containerOptions(spec, { ...at, owner, digest, imageId: image.id });
    const container = await engine.docker.createContainer(options);
    const handle = handleOf(id, unit, { container: container.id, logFile, digest });
    const limitBytes = spec.container.limits.memory ?? 0;
    const quick = engine.quick.getContainer(container.id);
    return { handle, container, quick, network: at.network, stopSignal, limitBytes };
  } catch (error) {
    if (statusOf(error) !== 409) throw startFault(spec, error);
    throw new Fault('CONFLICT', `${unit}: the instance ${id} exists already.`, { cause: error });
  }
}

async function checkLog({ unit, logFile }: Spec): Promise<void> {
  try {
    await (await openLog(logFile)).close();
  } catch (error) {
    const why = `${unit}: its log file ${logFile} cannot be opened (${systemCode(error)}).`;
    throw new Fault('START_FAILED', why, { cause: error });
  }
}

/**
 * A process that passes signals on stands before the service's own, and starts whether that exists or not: what is
 * missing would be no more than an exit code.
 */
async function checkProgram(spec: Spec, image: Image, container: Dockerode.Container): Promise<void> {
  const path = spec.env['PATH'] ?? image.path;
  const places = programPaths(spec.argv, { ...image, path });
  for (const place of places) if (await isInside(container, place)) return;
  if (places.length === 0) return;
  const where = spec.argv[0]?.includes('/') ? '' : ` in PATH (${path})`;
  throw new Fault(
    'START_FAILED',
    `${spec.unit}: the image ${spec.container.image} has no "${spec.argv[0]}"${where}: correct "command" in the definition.`,
  );
}

async function isInside(container: Dockerode.Container, path: string): Promise<boolean> {
  try {
    // Its client hands the answer over as a stream: one that nobody reads keeps its connection, and the platform from ending.
    ((await container.infoArchive({ path })) as NodeJS.ReadableStream).resume();
    return true;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

/** What the engine says of a container that it could not make or start, with the unit that it was to be. */
function startFault({ unit }: Spec, error: unknown): unknown {
  if (error instanceof Fault || statusOf(error) === undefined) return error;
  return new Fault('START_FAILED', `${unit}: ${wordsOf(error)}`, { cause: error });
}
