import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readConfig, type HostConfig } from './config.ts';
import type { Engine } from './contract.ts';
import { loadEngine } from './engine.ts';
import { createHost, type Host } from './http.ts';
import { createLog, type Log } from './log.ts';

/*
 * One model behind OpenAI's API, in a process of its own. Its life:
 * 1. It listens at once; /health says 503 with the progress of loading.
 * 2. The model is loaded. When that fails: one line on stderr, exit 1.
 * 3. /health says 200.
 * 4. SIGTERM or SIGINT: no new requests, those in flight get ten seconds, exit 0.
 */

const graceMs = 10_000;

function fail(message: string): never {
  process.stderr.write(`llama: ${message.replaceAll('\n', ' ')}\n`);
  process.exit(1);
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function listen(host: Host, config: HostConfig, log: Log): Promise<void> {
  host.server.listen(config.port, config.host);
  await once(host.server, 'listening');
  const address = host.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : config.port;
  log('listening', { host: config.host, port });
}

async function load(host: Host, config: HostConfig, log: Log): Promise<Engine> {
  const began = performance.now();
  const engine = await loadEngine(config.environment, {
    modelPath: config.modelPath,
    contextTokens: config.context,
    slots: config.slots,
    threads: config.threads,
    batchTokens: config.batch,
    gpuLayers: config.gpuLayers,
    onProgress: (progress) => host.progress(progress),
    onWarning: (message) => log('engine', { message }),
  });
  host.ready(engine);
  const loadMs = Math.round(performance.now() - began);
  log('ready', {
    model: config.modelId,
    loadMs,
    slots: engine.slots,
    context: engine.contextTokens,
    ...engine.memory(),
  });
  return engine;
}

function stopOnSignals(host: Host, log: Log): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals) => {
    if (stopping) return;
    stopping = true;
    log('stopping', { signal });
    void host.drain(AbortSignal.timeout(graceMs)).then(() => {
      log('stopped');
      // Freeing the model by hand would take longer than the kernel needs for it.
      process.exit(0);
    });
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

async function main(): Promise<void> {
  const config = readConfig(process.env);
  // Whoever may read this process's environment later has no need of the key.
  delete process.env['SUTAZ_ENGINE_KEY'];
  const log = createLog(
    (line) => void process.stdout.write(line),
    () => new Date(),
  );
  const host = createHost({
    key: config.key,
    modelId: config.modelId,
    log,
    now: () => performance.now(),
    wallClock: () => Date.now(),
    newId: () => randomBytes(12).toString('hex'),
  });
  stopOnSignals(host, log);
  await listen(host, config, log);
  await load(host, config, log).catch((error: unknown) => fail(`cannot load ${config.modelId}: ${reason(error)}`));
}

// A broken pipe means that nobody reads the logs any more; the model may well be in use all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

main().catch((error: unknown) => fail(reason(error)));
