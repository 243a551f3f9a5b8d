import type { ExitedStatus, InstanceHandle, RuntimeDriver } from '#contracts/runtime';
import { Fault } from '#kernel/faults';

type Listener = (handle: InstanceHandle, status: ExitedStatus) => void;

/**
 * Processes and containers as one runtime: what names an image is a container, and a handle says whose it is. The driver
 * of containers is opened when the first one is asked for, so that an engine need not be there for anything else.
 */
export function createRuntimes(
  processes: RuntimeDriver,
  openContainers: (() => Promise<RuntimeDriver>) | undefined,
  /** Why no container can be had here; null where there is an engine to ask. */
  whyNone: () => string | null,
): RuntimeDriver {
  const listeners = new Set<Listener>();
  const tell: Listener = (handle, status) => {
    for (const listener of [...listeners]) listener(handle, status);
  };
  processes.onExit(tell);
  let opening: Promise<RuntimeDriver> | null = null;
  const containers = (): Promise<RuntimeDriver> => {
    if (!openContainers) throw new Fault('NOT_SUPPORTED', 'This build of the platform runs no containers.');
    opening ??= openContainers().then((driver) => {
      driver.onExit(tell);
      return driver;
    });
    const mine = opening;
    // An engine that does not answer now may do so at the next start.
    mine.catch(() => opening === mine && (opening = null));
    return mine;
  };
  const of = async ({ driver }: Pick<InstanceHandle, 'driver'>) =>
    driver === 'runtime.docker' ? containers() : processes;
  return {
    traits: processes.traits,
    start: async (spec, signal) => (spec.container ? await containers() : processes).start(spec, signal),
    recover: async (handle) => (await of(handle)).recover(handle),
    async find(id, unit) {
      const process = await processes.find?.(id, unit);
      if (process || whyNone() !== null) return process ?? null;
      return (await (await containers()).find?.(id, unit)) ?? null;
    },
    prepare: async (image, options) => (await containers()).prepare?.(image, options),
    inspect: async (handle) => (await of(handle)).inspect(handle),
    stop: async (handle, graceMs) => (await of(handle)).stop(handle, graceMs),
    // An engine that cannot be reached has none that is known.
    list: async () => [...(await processes.list()), ...((await (await opening?.catch(() => null))?.list()) ?? [])],
    onExit(listener) {
      const own: Listener = (handle, status) => listener(handle, status);
      listeners.add(own);
      return () => void listeners.delete(own);
    },
    async freeze(handle) {
      const driver = await of(handle);
      if (!driver.freeze) throw new Fault('NOT_SUPPORTED', 'its driver cannot freeze');
      await driver.freeze(handle);
    },
    thaw: async (handle) => (await of(handle)).thaw?.(handle),
    reclaim: async (handle, bytes, signal) => (await of(handle)).reclaim?.(handle, bytes, signal) ?? 0,
    async close() {
      listeners.clear();
      await Promise.all([processes.close(), opening?.then((driver) => driver.close()).catch(() => undefined)]);
    },
  };
}
