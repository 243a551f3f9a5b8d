import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { EngineEndpoint } from '#contracts/engine';
import { newInstanceId, newSecret, unitId } from '#kernel/ids';
import type { Environment } from '#runtime/launch';
import { instanceSpec } from '#runtime/launch';
import { freePort } from '#runtime/ports';
import { builtInCatalog } from './_prepared.ts';
import { exited, until } from './_processes.ts';

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
  /** Variables over those of the definition. */
  readonly env?: Readonly<Record<string, string>>;
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
      },
    },
    { id: newInstanceId(), unit, handle: null, startedAt: '', ...endpoint },
    options.environment,
    { home, logFile: join(home, 'log'), capabilities: {} },
    0,
  );
  const [program = '', ...args] = spec.argv;
  const out = openSync(spec.logFile, 'a');
  const child = spawn(program, args, { cwd: spec.cwd, env: spec.env, stdio: ['ignore', out, out] });
  closeSync(out);
  const pid = child.pid ?? 0;
  const log = () => readFileSync(spec.logFile, 'utf8');
  const url = `http://${endpoint.host}:${String(endpoint.port)}`;
  const stop = async () => {
    if (!exited(pid)) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await rm(home, { recursive: true, force: true });
  };
  const end = async () => {
    if (exited(pid)) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  const health = 'http' in defined.definition.health ? defined.definition.health.http : '/';
  try {
    await until(
      async () => {
        if (child.exitCode !== null) throw new Error(`${engine} ended with ${String(child.exitCode)}:\n${log()}`);
        return fetch(`${url}${health}`).then(
          ({ ok }) => ok,
          () => false,
        );
      },
      `${engine} to be ready`,
      120_000,
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoint: { url, key: endpoint.key, model: modelId }, pid, log, end, stop };
}
