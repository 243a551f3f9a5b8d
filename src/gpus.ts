import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { createGpuReader } from '#runtime/gpu';
import type { Gpu } from '#runtime/gpu';

/** The graphics cards of this machine; null where nothing knows of any. Throws as `GpuReader.read` does. */
export async function listGpus(env: NodeJS.ProcessEnv): Promise<readonly Gpu[] | null> {
  const reader = createGpuReader({ clock: systemClock, log: silentLogger, env });
  return (await reader.read(new AbortController().signal))?.gpus ?? null;
}
