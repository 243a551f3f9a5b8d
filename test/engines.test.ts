import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineConformance } from '#contracts/engine.conformance';
import { isOnPath } from '#runtime/environments/programs';
import { shape, startEngine, started, traits } from './_engine.ts';
import type { StartedEngine } from './_engine.ts';
import { startPlatform } from './_platform.ts';
import { exited, runScript, until } from './_processes.ts';

const modelPath = process.env['SUTAZ_TEST_MODEL'] ?? '';
const environment = { id: 'given', path: process.env['SUTAZ_TEST_LLAMA_ENV'] ?? '', bin: '', env: {} };
const hasServer = await isOnPath('llama-server', process.env['PATH']);
if (!hasServer) console.warn('test/engines.test.ts: llama-server is not on PATH and is left out.');

describe('the embedded engine', () => {
  let engine: StartedEngine | undefined;
  beforeAll(async () => {
    engine = await startEngine('llama', { modelPath, ...shape, environment });
  });
  afterAll(() => engine?.stop());
  engineConformance('llama', () => ({ endpoint: started(engine).endpoint, traits }));

  it('that a signal ends while it is started is told at once, and with which', async () => {
    const code = 'process.kill(process.pid, "SIGKILL")';
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
    const start = startEngine('llama', { modelPath, ...shape, environment, env });
    await expect(start).rejects.toThrow('llama ended with SIGKILL');
  });

  it('goes with the process that started it', async () => {
    const options = JSON.stringify({ modelPath, ...shape, environment });
    const { line } = await runScript(`
      import { startEngine } from './test/_engine.ts';
      const { pid } = await startEngine('llama', ${options});
      process.on('SIGINT', () => process.exit(1));
      process.stdout.write(pid + '\\n', () => process.kill(process.pid, 'SIGINT'));
    `);
    expect(Number(line)).toBeGreaterThan(0);
    await until(() => exited(Number(line)), 'the engine to end');
  });
});

describe.skipIf(!hasServer)("llama.cpp's own server", () => {
  let engine: StartedEngine | undefined;
  beforeAll(async () => {
    engine = await startEngine('llama-server', { modelPath, ...shape, environment: null });
  });
  afterAll(() => engine?.stop());
  engineConformance('llama-server', () => ({
    endpoint: started(engine).endpoint,
    traits: { ...traits, embeddings: false },
  }));

  it('shows neither its slots nor its metrics, and its key is no argument', async () => {
    const { url, key } = started(engine).endpoint;
    const headers = { authorization: `Bearer ${key ?? ''}` };
    for (const path of ['/slots', '/metrics']) expect((await fetch(`${url}${path}`, { headers })).status).toBe(501);
    expect(await readFile(`/proc/${String(started(engine).pid)}/cmdline`, 'utf8')).not.toContain(key);
  });

  it('runs a model whose settings ask for it, through the door', async () => {
    const config = 'models: { engine: llama-server, context: 1024, slots: 1 }\n';
    const platform = await startPlatform({ config });
    try {
      const messages = [{ role: 'user', content: 'Hello' }];
      const body = JSON.stringify({ model: 'default', messages, max_tokens: 4 });
      const response = await platform.fetch('/v1/chat/completions', { method: 'POST', body });
      expect(response.status, await response.clone().text()).toBe(200);
      expect(((await response.json()) as { usage: object }).usage).toMatchObject({ completion_tokens: 4 });
      const { instance } = await platform.unit('smollm2:135m');
      expect(await readFile(`/proc/${String(instance?.pid)}/comm`, 'utf8')).toBe('llama-server\n');
    } finally {
      await platform.stop();
    }
  });
});
