import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createLog } from '../llama/log.ts';
import { createHost } from './host.ts';
import { ollamaRemote, openaiRemote } from './remote.ts';

/*
 * Stands for one model of a server elsewhere. Its life:
 * 1. It listens at once; /health says 503 until the server has the model ready. When that fails: one line on stderr, exit 1.
 * 2. Requests are passed on. /weight tells what the model takes of this machine's memory there.
 * 3. SIGTERM: no new requests, those under way get ten seconds, the model is let go in any case, exit 0.
 */

const graceMs = 10_000;
/** For letting the model go: both together are less than the `stop.grace` of the definitions. */
const closeMs = 1_500;

function fail(message: string): never {
  process.stderr.write(`upstream: ${message.replaceAll('\n', ' ')}\n`);
  process.exit(1);
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function given(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set.`);
  return value;
}

/** From its variable, else from its file; null where the server asks for none. */
async function remoteKey(): Promise<string | null> {
  const file = process.env['SUTAZ_REMOTE_KEY_FILE'] ?? '';
  const key = process.env['SUTAZ_REMOTE_KEY'] ?? (file === '' ? '' : (await readFile(file, 'utf8')).trim());
  return key === '' ? null : key;
}

async function main(): Promise<void> {
  const url = (process.env['SUTAZ_REMOTE_URL'] || given('SUTAZ_REMOTE_DEFAULT')).replace(/\/(v1\/?)?$/, '');
  const to = { url, key: await remoteKey(), model: given('SUTAZ_REMOTE_MODEL') };
  const remote = process.env['SUTAZ_REMOTE_KIND'] === 'ollama' ? ollamaRemote(to) : openaiRemote(to);
  const log = createLog(
    (line) => void process.stdout.write(line),
    () => new Date(),
  );
  const modelId = given('SUTAZ_MODEL_ID');
  const host = createHost({ key: given('SUTAZ_ENGINE_KEY'), modelId, remote, to, log });
  for (const name of ['SUTAZ_ENGINE_KEY', 'SUTAZ_REMOTE_KEY']) delete process.env[name];
  const opening = new AbortController();
  const stop = (signal: NodeJS.Signals) => {
    log('stopping', { signal });
    opening.abort(new Error('it was stopped'));
    setTimeout(() => process.exit(0), graceMs + closeMs).unref();
    const late = new Promise<void>((resolve) => setTimeout(resolve, graceMs).unref());
    void Promise.race([host.drain(), late])
      .then(() => remote.close())
      .catch((error: unknown) => log('not-closed', { error: reason(error) }))
      .then(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  host.server.listen(Number(given('SUTAZ_PORT')), process.env['SUTAZ_HOST'] ?? '127.0.0.1');
  await once(host.server, 'listening');
  try {
    await remote.open(opening.signal, (done) => host.progress(done));
  } catch (error) {
    // What was begun there is ended by `stop`.
    if (opening.signal.aborted) return;
    fail(reason(error));
  }
  host.ready();
  log('ready', { model: modelId, remote: to.model, url });
}

// A broken pipe means that nobody reads the logs any more; the model may well be in use all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

main().catch((error: unknown) => fail(reason(error)));
