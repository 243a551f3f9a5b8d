import type Dockerode from 'dockerode';
import { abortFault, throwIfAborted } from '#kernel/abort';
import { Fault } from '#kernel/faults';
import { defineDriver, type DriverHost } from '#contracts/driver';
import type { InstanceHandle, InstanceStatus, RuntimeDriver } from '#contracts/runtime';
import { beginContainer } from './_docker-begin.ts';
import { handleFromLabels, labels, reachesOf, readState } from './_docker-container.ts';
import { connect, engineFault, findSocket, isGone, type Engine } from './_docker-engine.ts';
import { createGateways } from './_docker-gateways.ts';
import { ensureImage } from './_docker-images.ts';
import { createContainers, type Container, type Containers, type Ways } from './_docker-instances.ts';
import { lastWritten } from './_docker-position.ts';
import { createNetworks } from './_docker-networks.ts';
import { unseenEnd } from './_exits.ts';

export { findSocket, whyNoEngine } from './_docker-engine.ts';

export interface DockerOptions {
  /** What is this platform's on an engine that others may use, too: lower-case letters and digits. */
  readonly owner: string;
  /** The engine's socket; that of `DOCKER_HOST`, or the usual one, without it. */
  readonly socket?: string;
  /** Milliseconds after which an engine that takes a question and says nothing counts as away; 15 000 without it. */
  readonly patienceMs?: number;
}

/**
 * Instances as containers of this machine's Docker engine. They outlive the platform, and the next one finds them by their
 * labels. Each listens on the loopback address alone, where the door reaches it.
 */
export default defineDriver<RuntimeDriver, DockerOptions>({
  id: 'runtime.docker',
  async open({ owner, socket, patienceMs }, host) {
    throwIfAborted(host.signal);
    const engine = await connect(socket ?? findSocket(process.env), patienceMs);
    const ways = { networks: createNetworks(engine.docker, owner), gateways: createGateways(host.log) };
    return createDriver(engine, owner, ways, createContainers(engine, owner, ways, host), host);
  },
});

function createDriver(
  engine: Engine,
  owner: string,
  ways: Ways,
  containers: Containers,
  { log }: DriverHost,
): RuntimeDriver {
  const { quick, socket } = engine;
  /** Ids of starts under way. */
  const starting = new Set<string>();
  let closed = false;

  const recover = (handle: InstanceHandle) => takeUp(handle, { engine, ...ways, containers, log });
  const living = async (handle: InstanceHandle) => {
    if (containers.get(handle.id)?.stop) throw new Fault('CONFLICT', `${handle.unit} is being stopped.`);
    const found = await look(engine, handle);
    if (!found?.running) throw new Fault('CONFLICT', `${handle.unit} has ended: start it again.`);
    return found;
  };

  /** What is asked of an engine that is away says so. */
  const asking = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw engineFault(error, socket);
    });

  return {
    traits: { survivesRestart: true, enforcesMemory: false },
    recover: (handle) => asking(recover(handle)),

    async start(spec, signal) {
      throwIfAborted(signal);
      if (closed) throw new Fault('SHUTTING_DOWN', `${spec.unit} was not started: the platform is stopping.`);
      const { container } = spec;
      if (!container) throw new Fault('NOT_SUPPORTED', `${spec.unit} names no image, which runtime.docker needs.`);
      if (starting.has(spec.id) || containers.get(spec.id)) {
        throw new Fault('CONFLICT', `${spec.unit}: the instance ${spec.id} exists already.`);
      }
      starting.add(spec.id);
      try {
        return await beginContainer({ ...spec, container }, signal, { engine, owner, ...ways, containers, log });
      } catch (error) {
        if (signal.aborted) throw abortFault(signal);
        throw engineFault(error, socket);
      } finally {
        starting.delete(spec.id);
      }
    },

    async find(id) {
      const label = [`${labels.owner}=${owner}`, `${labels.instance}=${id}`];
      const [found] = await asking(quick.listContainers({ all: true, filters: { label } }));
      return found ? handleFromLabels(found.Id, found.Labels) : null;
    },

    async prepare(image, options) {
      await asking(ensureImage(engine, image, options));
    },

    async inspect(handle) {
      const found = await asking(look(engine, handle));
      if (!found?.running) return containers.exits.of(handle.id) ?? unseenEnd;
      return asking(statusOfRunning(found.one.quick, found));
    },

    async stop(handle, graceMs) {
      if (containers.get(handle.id) || (await asking(recover(handle)))) {
        const item = containers.get(handle.id);
        if (item) await asking(containers.stop(item, graceMs));
      }
    },

    list: async () => containers.all().map(({ handle }) => handle),
    onExit: (listener) => containers.exits.listen(listener),

    async freeze(handle) {
      const { one, frozen } = await asking(living(handle));
      if (!frozen) await asking(one.quick.pause());
    },
    async thaw(handle) {
      const { one, frozen } = await asking(living(handle));
      if (frozen) await asking(one.quick.unpause());
    },

    async close() {
      closed = true;
      containers.close();
    },
  };
}

interface TakeUpDeps extends Ways {
  readonly engine: Engine;
  readonly containers: Containers;
  readonly log: DriverHost['log'];
}

/** Watches an instance of an earlier process. Of one that has ended its last words are kept, and nothing else. */
async function takeUp(
  handle: InstanceHandle,
  { engine, networks, gateways, containers, log }: TakeUpDeps,
): Promise<InstanceHandle | null> {
  const known = containers.get(handle.id);
  if (known) return known.handle;
  const found = await look(engine, handle);
  if (!found) return null;
  const since = await lastWritten(readState(handle).logFile, handle.id);
  // Asked for twice at once, it is taken up once.
  const raced = containers.get(handle.id);
  if (raced) return raced.handle;
  const { network } = found.one;
  networks.hold(network);
  const item = containers.track(found.one);
  containers.begin(item, since);
  if (found.running) {
    // One that nobody is reached from goes on: it is told by its own errors, as after any fault of a network.
    if (found.reaches.length > 0)
      await networks
        .place(network)
        .then((place) => gateways.open(handle.id, place, found.reaches))
        .catch((error: unknown) => log.error('a container reaches nobody', { id: handle.id, error: String(error) }));
    return handle;
  }
  await item.log?.done;
  containers.drop(item);
  await containers.remove(found.one);
  return null;
}

interface Found {
  readonly one: Container;
  readonly running: boolean;
  readonly frozen: boolean;
  readonly pid: number;
  /** Ports of this machine that it was told of. */
  readonly reaches: readonly number[];
}

/** The container of a handle; null when it is gone, or is another one that got its name. */
async function look({ docker, ...engine }: Engine, handle: InstanceHandle): Promise<Found | null> {
  const id = readState(handle).container;
  const [container, quick] = [docker.getContainer(id), engine.quick.getContainer(id)];
  try {
    const { State, Config, HostConfig } = await quick.inspect();
    if (Config.Labels[labels.instance] !== handle.id) return null;
    const stopSignal = (Config as { StopSignal?: string }).StopSignal || 'SIGTERM';
    const limitBytes = HostConfig.Memory ?? 0;
    const one = { handle, container, quick, network: HostConfig.NetworkMode ?? '', stopSignal, limitBytes };
    const { Running: running, Paused: frozen, Pid: pid } = State;
    return { one, running, frozen, pid, reaches: reachesOf(Config.Labels) };
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

/** What its group is charged with, less the file cache that the kernel takes back when it likes: what `docker stats` shows. */
async function statusOfRunning(container: Dockerode.Container, { frozen, pid }: Found): Promise<InstanceStatus> {
  const { memory_stats: memory } = await container.stats({ stream: false, 'one-shot': true });
  const { total_inactive_file: first, inactive_file: second } = (memory.stats ?? {}) as unknown as Record<
    string,
    number
  >;
  const cache = first ?? second ?? 0;
  return { state: frozen ? 'frozen' : 'running', pid, memoryBytes: Math.max(0, (memory.usage ?? 0) - cache) };
}
