import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { openEnvironments } from '#runtime/environments/environments';
import { startPlatform, testHome } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';

const run = promisify(execFile);
/** Less than a test has: a client that hangs is ended with its test, and not left to itself. */
const bounded = { timeout: 110_000, killSignal: 'SIGKILL' } as const;
const script = join(import.meta.dirname, 'fixtures/clients.py');
const packages = [
  ...['openai==2.54.0', 'litellm==1.110.2'],
  ...['llama-index-llms-openai-like==0.8.1', 'llama-index-embeddings-openai-like==0.4.0'],
];

const hasPython = await run('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 10))']).then(
  () => true,
  () => false,
);
if (!hasPython) console.warn('test/clients-python.test.ts is skipped: there is no Python 3.10 or newer here.');

describe.skipIf(!hasPython)('Python clients that nobody here wrote', () => {
  let platform: TestPlatform;
  let python: string;
  beforeAll(async () => {
    // With the platform's own means: uv installs all of it in seconds.
    const environments = await openEnvironments({
      dir: join(testHome(), 'env'),
      log: silentLogger,
      clock: systemClock,
    });
    const wish = { python: { version: '>=3.10', packages } };
    const made = await environments.ensure(wish, { signal: new AbortController().signal });
    python = join(made?.path ?? '', 'venv/bin/python');
    platform = await startPlatform({ config: 'models: { context: 1536, slots: 2 }' });
  });
  afterAll(async () => void (await platform.stop()));

  it.each(['openai', 'litellm', 'llama-index'])(
    '%s: chat, stream, tools, forms, vectors and errors',
    async (client) => {
      // It would ask GitHub for prices of models.
      const env = { ...process.env, LITELLM_LOCAL_MODEL_COST_MAP: 'True', PYTHONWARNINGS: 'ignore' };
      const { stdout } = await run(python, [script, platform.url, platform.key, client], { env, ...bounded });
      expect(stdout).toContain(`${client}: all as expected`);
    },
  );
});
