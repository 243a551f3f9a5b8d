import { readFile, readdir, stat } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiModelDetails } from '#contracts/api';
import { engineConformance } from '#contracts/engine.conformance';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { readGguf } from '#models/gguf';
import { openModelStore } from '#models/store';
import type { StoredModel } from '#models/store';
import { createViews } from '#models/views/views';
import { isOnPath } from '#runtime/environments/programs';
import { shape, startEngine, started, traits } from './_engine.ts';
import type { StartedEngine } from './_engine.ts';
import { startPlatform, testHome } from './_platform.ts';
import { until } from './_processes.ts';

/*
 * The real Ollama of this machine, on PATH or at OLLAMA_BIN, started by the engine `ollama-serve`. Where there is none only what becomes
 * of that is tested.
 */
const binary = process.env['OLLAMA_BIN'];
const searched = [...(binary ? [dirname(binary)] : []), process.env['PATH']].join(delimiter);
const hasOllama = await isOnPath('ollama', searched);
if (!hasOllama) console.warn('test/ollama-serve.test.ts: there is no ollama on PATH, nor OLLAMA_BIN: it is left out.');

const id = 'smollm2:135m';
/** Short: one of the contract's tests fills it, and an Ollama may have been built without the libraries that make it fast. */
const context = 512;

/** The view of the store that the tests share, as the platform makes it. */
async function viewOfStore() {
  const store = await openModelStore({ dir: join(testHome(), 'models'), clock: systemClock, log: silentLogger });
  const stored = started(store.get(id) ?? undefined);
  const header = await readGguf(stored.path);
  const { root } = await createViews(store, silentLogger).ensure('ollama', { ...stored, id, header, origin: null });
  return { stored, root };
}

/** The processes that were given something, a file say, as an argument. */
async function processesWith(argument: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return line.split('\0').includes(argument) ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}

const start = (root: string, env: Readonly<Record<string, string>> = { PATH: searched }) =>
  startEngine('ollama-serve', {
    ...{ modelPath: '', modelId: id, ...shape, context, environment: null, env },
    views: { 'view.ollama': root },
  });

it('an Ollama that is not there: the end of its engine says so', async () => {
  await expect(start(testHome(), { PATH: dirname(process.execPath) })).rejects.toThrow(
    "ollama is not on this machine's PATH. Install it from https://ollama.com/download",
  );
});

describe.skipIf(!hasOllama)('an Ollama that is started here', () => {
  let view: { readonly stored: StoredModel; readonly root: string } | undefined;
  let engine: StartedEngine | undefined;
  const blob = () => join(started(view).root, 'blobs', `sha256-${started(view).stored.sha256}`);
  beforeAll(async () => {
    view = await viewOfStore();
    engine = await start(view.root);
  });
  afterAll(async () => {
    await engine?.end();
    await engine?.stop();
  });
  engineConformance('ollama-serve', () => ({
    endpoint: started(engine).endpoint,
    traits: { ...traits, contextTokens: context, cutsPrompts: true },
  }));

  it('serves a model from the view of the store: what its runner was given is the very file of the store', async () => {
    const [own, seen] = await Promise.all([stat(started(view).stored.path), stat(blob())]);
    expect([seen.dev, seen.ino]).toEqual([own.dev, own.ino]);
    // Ollama reads it without a card and does not map it: its memory does not show the file.
    expect(await processesWith(blob())).toHaveLength(1);
  });

  it('ends, with what it loaded, when it is told to; and when its Ollama ends by itself it says so', async () => {
    const second = await start(started(view).root);
    try {
      const children = await readFile(`/proc/${String(second.pid)}/task/${String(second.pid)}/children`, 'utf8');
      process.kill(Number(children.trim()), 'SIGKILL');
      await until(() => second.log().includes('ollama serve ended with SIGKILL'), 'the engine to end');
    } finally {
      await second.stop();
      for (const pid of await processesWith(blob())) if (pid > second.pid) process.kill(pid, 'SIGKILL');
    }
    await started(engine).end();
    await until(async () => (await processesWith(blob())).length === 0, 'what it loaded to be gone');
  });

  it('runs the models of the store through the door, weighed with all that it started, and leaves nothing behind', async () => {
    const config = 'models: { engine: ollama-serve, context: 1024, slots: 1 }\n';
    const platform = await startPlatform({ config, env: { PATH: searched } });
    try {
      const body = JSON.stringify({ model: id, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 4 });
      const response = await platform.fetch('/v1/chat/completions', { method: 'POST', body });
      expect(response.status, await response.clone().text()).toBe(200);
      expect(((await response.json()) as { usage: object }).usage).toMatchObject({ completion_tokens: 4 });
      const details = (await (await platform.fetch(`/sutaz/v1/models/${id}`)).json()) as ApiModelDetails;
      const weights = started(view).stored.bytes;
      const measured = async () => (await platform.unit(id)).bytes.measured ?? 0;
      await until(async () => (await measured()) > weights, 'the ledger to have weighed its Ollama', 30_000);
      console.log(
        `ollama-serve: planned ${String(details.estimate?.plannedBytes)}, measured ${String(await measured())} bytes`,
      );
      await platform.fetch(`/sutaz/v1/units/${encodeURIComponent(`model/${id}`)}/stop`, { method: 'POST' });
      await until(async () => (await processesWith(blob())).length === 0, 'what it loaded to be gone', 30_000);
    } finally {
      await platform.stop();
    }
  });
});
