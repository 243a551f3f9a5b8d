import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { EngineEndpoint, EngineTraits } from '#contracts/engine';
import type { InstanceSpec } from '#contracts/runtime';
import { newInstanceId, newSecret, unitId } from '#kernel/ids';
import type { Environment } from '#runtime/launch';
import { instanceSpec } from '#runtime/launch';
import { freePort } from '#runtime/ports';
import { builtInCatalog } from './_prepared.ts';
import { until } from './_processes.ts';

export interface StartedEngine {
  readonly endpoint: EngineEndpoint;
  readonly pid: number;
  log(): string;
  /** SIGTERM, and waits for its end. */
  end(): Promise<void>;
  stop(): Promise<void>;
}

export interface EngineStart {
  readonly modelPath: string;
  readonly modelId?: string;
  /** Tokens for each request. */
  readonly context: number;
  readonly slots: number;
  readonly threads: number;
  readonly environment: Environment | null;
  /** The server that has the model, for engines that pass requests on. */
  readonly remote?: { readonly url: string; readonly model: string; readonly key?: string };
  /** The folders of views that it is told of: `view.ollama`. */
  readonly views?: Readonly<Record<string, string>>;
  /** Variables over those of the definition. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What the tests of engines start them with, and what one that can do everything then has. */
export const shape = { context: 1024, slots: 2, threads: 1 };
export const traits: EngineTraits = {
  ...{ contextTokens: shape.context, slots: shape.slots, health: '/health', completions: true, embeddings: true },
};

/** What was to be started before: for tests that get it from a hook. */
export function started<T>(found: T | undefined): T {
  if (found === undefined) throw new Error('It was not started.');
  return found;
}

/** Runs an engine of the catalogue for one model, as its definition says and the platform would, and waits until it is ready. */
export async function startEngine(engine: string, options: EngineStart): Promise<StartedEngine> {
  const defined = (await builtInCatalog()).services.get(engine);
  const run = defined?.definition.run.process;
  if (!defined || !run) throw new Error(`The catalogue has no engine ${engine}.`);
  const home = await mkdtemp(join(tmpdir(), 'sutaz-engine-'));
  const { modelPath, modelId = 'tiny', context, slots, threads } = options;
  const unit = unitId('model', modelId);
  const endpoint = { host: '127.0.0.1', port: await freePort('127.0.0.1'), key: newSecret('sutaz-i-') };
  const spec = await instanceSpec(
    {
      ...{ unit, run, health: defined.definition.health, startupTimeoutMs: 0, stopGraceMs: 0, oomScoreAdj: 0 },
      serviceDir: join(dirname(defined.path), engine),
      dataDir: join(home, 'data'),
      env: { ...(options.remote?.key !== undefined && { SUTAZ_REMOTE_KEY: options.remote.key }), ...options.env },
      values: {
        'model.path': modelPath,
        'model.id': modelId,
        'model.context': String(context),
        'model.slots': String(slots),
        'model.tokens': String(context * slots),
        'model.url': options.remote?.url ?? '',
        'model.remote': options.remote?.model ?? modelId,
        'model.keyFile': '',
        'model.gpuLayers': '0',
        threads: String(threads),
        ...options.views,
      },
    },
    { id: newInstanceId(), unit, handle: null, startedAt: '', ...endpoint },
    options.environment,
    { home, logFile: join(home, 'log'), capabilities: {} },
    0,
  );
  const child = runProcess(spec, home);
  const url = `http://${endpoint.host}:${String(endpoint.port)}`;
  const health = 'http' in defined.definition.health ? defined.definition.health.http : '/';
  const isReady = () => {
    const ended = child.ended();
    if (ended !== null) throw new Error(`${engine} ended with ${ended}:\n${child.log()}`);
    return fetch(`${url}${health}`).then(
      ({ ok }) => ok,
      () => false,
    );
  };
  try {
    await until(isReady, `${engine} to be ready`, 120_000);
  } catch (error) {
    await child.stop();
    throw error;
  }
  return { ...child, endpoint: { url, key: endpoint.key, model: modelId } };
}

/** The process of an engine; with its home it goes when this process does, whatever ends that. */
function runProcess({ argv: [program = '', ...args], cwd, env, logFile }: InstanceSpec, home: string) {
  const out = openSync(logFile, 'a');
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', out, out] });
  closeSync(out);
  let failure: string | null = null;
  child.on('error', ({ message }) => (failure = message));
  const clear = () => {
    child.kill('SIGKILL');
    rmSync(home, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once('exit', clear);
  const ended = () => failure ?? child.signalCode ?? child.exitCode;
  const end = async (signal: NodeJS.Signals) => {
    if (ended() !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  };
  return {
    pid: child.pid ?? 0,
    log: () => readFileSync(logFile, 'utf8'),
    /** Why it could not be started, the signal that ended it, or its code; null while it runs. */
    ended,
    end: () => end('SIGTERM'),
    async stop() {
      await end('SIGKILL');
      process.off('exit', clear);
      clear();
    },
  };
}
