import { once } from 'node:events';
import { createLog } from '../llama/log.ts';
import { createHost } from './host.ts';
import type { Remote, RemoteOptions } from './remote.ts';

/** The server, and how it is spoken to. */
export interface Found {
  readonly to: RemoteOptions;
  readonly remote: Remote;
}

const graceMs = 10_000;
/** For letting the model go: both together are less than the `stop.grace` of the definitions. */
const closeMs = 1_500;

/** Its last line is what people are told of its end. */
export function fail(message: string): never {
  process.stderr.write(`upstream: ${message.replaceAll('\n', ' ')}\n`);
  process.exit(1);
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A variable that the definition sets. */
export function given(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set.`);
  return value;
}

async function main(find: () => Promise<Found>): Promise<void> {
  const { to, remote } = await find();
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
  log('ready', { model: modelId, remote: to.model, url: to.url });
}

// A broken pipe means that nobody reads the logs any more; the model may well be in use all the same.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

/**
 * Stands for one model of a server elsewhere. Its life:
 * 1. It listens at once; /health says 503 until the server has the model ready. When that fails: one line on stderr, exit 1.
 * 2. Requests are passed on. /weight tells what the model takes of this machine's memory there.
 * 3. SIGTERM: no new requests, those under way get ten seconds, the model is let go in any case, exit 0.
 */
export function standFor(find: () => Promise<Found>): void {
  main(find).catch((error: unknown) => fail(reason(error)));
}
