import { once } from 'node:events';
import { readConfig } from '../llama/config.ts';
import { createLog } from '../llama/log.ts';
import { createHost } from './host.ts';
import { importLibraries } from './libraries.ts';
import { loadModel } from './model.ts';

/*
 * One model that makes vectors or ranks, behind OpenAI's API and Jina's, in a process of its own. Its life is that of the embedded
 * engine's host (../llama/server.ts): it listens at once, /health says 503 until the model is loaded, and SIGTERM lets what
 * is under way end.
 */

const graceMs = 10_000;

function fail(message: string): never {
  process.stderr.write(`transformers: ${message.replaceAll('\n', ' ')}\n`);
  process.exit(1);
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function main(): Promise<void> {
  const config = readConfig(process.env);
  // Whoever may read this process's environment later has no need of the key.
  delete process.env['SUTAZ_ENGINE_KEY'];
  const log = createLog(
    (line) => void process.stdout.write(line),
    () => new Date(),
  );
  const host = createHost({ key: config.key, modelId: config.modelId, log, slots: config.slots });
  const stop = (signal: NodeJS.Signals) => {
    log('stopping', { signal });
    setTimeout(() => process.exit(0), graceMs).unref();
    void host.drain().then(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  host.server.listen(config.port, config.host);
  await once(host.server, 'listening');
  log('listening', { host: config.host, port: config.port });
  const began = performance.now();
  try {
    const { modelPath, context: contextTokens, threads } = config;
    const libraries = await importLibraries(config.environment);
    host.ready(await loadModel(libraries, { modelPath, contextTokens, threads }));
  } catch (error) {
    fail(`cannot load ${config.modelId}: ${reason(error)}`);
  }
  log('ready', { model: config.modelId, loadMs: Math.round(performance.now() - began) });
}

// A broken pipe means that nobody reads the logs any more; the model may well be in use all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

main().catch((error: unknown) => fail(reason(error)));
