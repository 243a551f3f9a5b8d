import { availableParallelism } from 'node:os';

export interface HostConfig {
  readonly host: string;
  readonly port: number;
  readonly key: string;
  /** The folder of the Node environment that node-llama-cpp is installed in. */
  readonly environment: string;
  readonly modelPath: string;
  readonly modelId: string;
  /** Tokens a slot holds. */
  readonly context: number;
  readonly slots: number;
  readonly threads: number;
  /** The most tokens evaluated at once. */
  readonly batch: number;
  /** Layers to put on the graphics card. */
  readonly gpuLayers: number;
}

type Variables = Readonly<Record<string, string | undefined>>;

function given(env: Variables, name: string): string {
  const value = env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set.`);
  return value;
}

function whole(env: Variables, name: string, fallback: number | undefined, min: number, max: number): number {
  const value = env[name];
  if ((value === undefined || value === '') && fallback !== undefined) return fallback;
  const parsed = Number(given(env, name));
  if (Number.isInteger(parsed) && parsed >= min && parsed <= max) return parsed;
  throw new Error(`${name} must be a whole number from ${String(min)} to ${String(max)}, not "${String(value)}".`);
}

/**
 * One core is left to the rest of the machine. The engine's threads meet at a spinning barrier after every operation:
 * with as many threads as cores, a single other busy process makes each wait for the one that was descheduled. On two
 * cores with one taken, two threads gave 0.9 tokens a second where one gave 45.
 */
export const defaultThreads = (cores: number): number => Math.max(1, cores - 1);

/**
 * Small, because an abort takes effect between batches, because streams that generate get one token a batch while
 * another's prompt is evaluated, and because the compute buffer holds a row of logits (4 bytes a vocabulary entry) for
 * each token of a batch: with a vocabulary of 262 144, a batch of 128 takes 96 MiB more than one of 32. It is the most:
 * on a slow machine `pace.ts` takes as few as 8. Long prompts pay for it, as docs/performance.md has measured.
 */
const defaultBatch = 32;

/** @throws an Error that names the variable. */
export function readConfig(env: Variables, cores = availableParallelism()): HostConfig {
  return {
    host: env['SUTAZ_HOST'] ?? '127.0.0.1',
    port: whole(env, 'SUTAZ_PORT', undefined, 0, 65_535),
    key: given(env, 'SUTAZ_ENGINE_KEY'),
    environment: given(env, 'SUTAZ_ENV'),
    modelPath: given(env, 'SUTAZ_MODEL_PATH'),
    modelId: given(env, 'SUTAZ_MODEL_ID'),
    context: whole(env, 'SUTAZ_CONTEXT', undefined, 64, 16_777_216),
    slots: whole(env, 'SUTAZ_SLOTS', undefined, 1, 256),
    threads: whole(env, 'SUTAZ_THREADS', defaultThreads(cores), 1, 1024),
    batch: whole(env, 'SUTAZ_BATCH', defaultBatch, 16, 4096),
    gpuLayers: whole(env, 'SUTAZ_GPU_LAYERS', 0, 0, 10_000),
  };
}
