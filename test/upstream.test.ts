import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineConformance } from '#contracts/engine.conformance';
import { shape, startEngine, started, traits } from './_engine.ts';
import type { StartedEngine } from './_engine.ts';
import { startPlatform } from './_platform.ts';
import { until } from './_processes.ts';
import { loadedBytes, ollamaServer } from './fixtures/ollama.ts';
import type { OllamaServer } from './fixtures/ollama.ts';

const modelPath = process.env['SUTAZ_TEST_MODEL'] ?? '';

/** The server elsewhere: a real engine with a key of its own. */
let engine: StartedEngine | undefined;
let ollama: OllamaServer | undefined;
beforeAll(async () => {
  const path = process.env['SUTAZ_TEST_LLAMA_ENV'] ?? '';
  engine = await startEngine('llama', { modelPath, ...shape, environment: { id: 'given', path, bin: '', env: {} } });
  ollama = await ollamaServer(engine.endpoint);
});
afterAll(async () => {
  await ollama?.close();
  await engine?.stop();
});

const remote = (name: 'upstream' | 'ollama', options: { url: string; model: string; key?: string }) =>
  startEngine(name, { modelPath: '', modelId: options.model, ...shape, environment: null, remote: options });

describe('a server elsewhere', () => {
  let bridge: StartedEngine | undefined;
  beforeAll(async () => {
    const { url, key, model } = started(engine).endpoint;
    bridge = await remote('upstream', { url, model, key: key ?? '' });
  });
  afterAll(() => bridge?.stop());
  engineConformance('upstream', () => ({ endpoint: started(bridge).endpoint, traits }));

  it('that lacks the model, refuses the key or is not there: its end says so, without the key', async () => {
    const { url, key, model } = started(engine).endpoint;
    const lacking = remote('upstream', { url, model: 'other', key: key ?? '' });
    await expect(lacking).rejects.toThrow('has no model other. It has: tiny.');
    const wrong = remote('upstream', { url, model, key: 'sk-wrong-secret' }).catch(String);
    expect(await wrong).toContain('it answers 401: Incorrect API key provided.');
    expect(await wrong).not.toContain('sk-wrong-secret');
    await expect(remote('upstream', { url: 'http://127.0.0.1:1', model })).rejects.toThrow('cannot be reached');
  });
});

it('an engine that is an address alone answers through the door, with its key from the environment of the platform', async () => {
  const { url, key, model } = started(engine).endpoint;
  const service = `id: far
name: Far
summary: A server elsewhere
category: inference
kind: engine
models: remote
run: { external: { url: '${url}' } }
resources: { memory: 56MiB }
provides: [openai.chat]
`;
  const definition = `id: far:1b
name: Far
summary: A model of a server elsewhere
engine: far
remote: { model: ${model}, keyEnv: FAR_KEY }
size: 0
`;
  const catalog = { 'services/far.yaml': service, 'models/far.yaml': definition };
  const platform = await startPlatform({ catalog, env: { FAR_KEY: key ?? '' } });
  try {
    const body = JSON.stringify({ model: 'far:1b', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4 });
    const response = await platform.fetch('/v1/chat/completions', { method: 'POST', body });
    expect(response.status, await response.clone().text()).toBe(200);
    expect(((await response.json()) as { usage: object }).usage).toMatchObject({ completion_tokens: 4 });
  } finally {
    await platform.stop();
  }
});

describe('Ollama, as its documentation has it', () => {
  let bridge: StartedEngine | undefined;
  beforeAll(async () => {
    bridge = await remote('ollama', { url: started(ollama).url, model: 'tiny' });
  });
  afterAll(() => bridge?.stop());
  engineConformance('ollama', () => ({ endpoint: started(bridge).endpoint, traits }));

  it('has the model pulled, loaded until told otherwise, kept after requests, weighed and unloaded', async () => {
    const { seen, loaded } = started(ollama);
    expect(seen.slice(0, 3).map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      ...['GET /api/tags', 'POST /api/pull', 'POST /api/generate'],
    ]);
    expect(seen[2]).toContain('"keep_alive":-1');
    expect(seen.filter((line) => line.startsWith('POST /api/generate') && line.includes('-1')).length).toBeGreaterThan(
      1,
    );
    const one = started(bridge);
    expect(await (await fetch(`${one.endpoint.url}/weight`)).json()).toEqual({ bytes: loadedBytes });
    await one.end();
    expect(seen.at(-1)).toContain('"keep_alive":0');
    expect(loaded.size).toBe(0);
  });

  it('gets its key with every request, where it has one', async () => {
    const { url, keys } = started(ollama);
    expect([...keys]).toEqual(['']);
    keys.clear();
    const keyed = await remote('ollama', { url, model: 'tiny', key: 'sk-ollama' });
    try {
      const { url: own, key, model } = keyed.endpoint;
      const headers = { authorization: `Bearer ${key ?? ''}`, 'content-type': 'application/json' };
      const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 2 });
      expect((await fetch(`${own}/v1/chat/completions`, { method: 'POST', headers, body })).status).toBe(200);
      expect((await fetch(`${own}/weight`)).status).toBe(200);
    } finally {
      await keyed.end();
    }
    expect([...keys]).toEqual(['Bearer sk-ollama']);
  });

  it('lets the model go when it is stopped before it was there', async () => {
    const { url, seen } = started(ollama);
    const child = spawn(process.execPath, ['catalog/services/upstream/server.ts'], {
      env: {
        ...{ SUTAZ_PORT: '0', SUTAZ_ENGINE_KEY: 'key', SUTAZ_MODEL_ID: 'slow', SUTAZ_REMOTE_KIND: 'ollama' },
        ...{ SUTAZ_REMOTE_URL: url, SUTAZ_REMOTE_MODEL: 'slow' },
      },
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    try {
      await until(() => seen.some((line) => line.startsWith('POST /api/pull') && line.includes('slow')), 'its pull');
      child.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
    }
    expect(seen.at(-1)).toContain('"keep_alive":0');
  });

  it('that cannot pull the model says why', async () => {
    const url = started(ollama).url;
    await expect(remote('ollama', { url, model: 'absent' })).rejects.toThrow(
      'pull model manifest: file does not exist',
    );
  });

  it('counts in the ledger while it is loaded, and is let go with its unit', async () => {
    const { url, loaded } = started(ollama);
    const definition = `id: tiny:1b
name: Tiny in Ollama
summary: A model of an Ollama
engine: ollama
remote: { url: '${url}', model: tiny }
slots: 2
size: 100MiB
`;
    const platform = await startPlatform({ catalog: { 'models/tiny.yaml': definition } });
    try {
      const body = JSON.stringify({ model: 'tiny:1b', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4 });
      const response = await platform.fetch('/v1/chat/completions', { method: 'POST', body });
      expect(response.status, await response.clone().text()).toBe(200);
      expect(loaded.size).toBe(1);
      const measured = async () => (await platform.unit('tiny:1b')).bytes.measured ?? 0;
      await until(async () => (await measured()) > loadedBytes, 'the ledger to know of it', 30_000);
      await platform.fetch('/sutaz/v1/units/model%2Ftiny:1b/stop', { method: 'POST' });
      await until(() => loaded.size === 0, 'it to be unloaded', 30_000);
    } finally {
      await platform.stop();
    }
  });
});

for (const [variable, name] of [
  ['VLLM_URL', 'upstream'],
  ['OLLAMA_URL', 'ollama'],
] as const) {
  const url = process.env[variable];
  const model = process.env[variable.replace('URL', 'MODEL')];
  if (!url || !model) continue;
  describe(`the real server at ${variable}`, () => {
    let bridge: StartedEngine | undefined;
    beforeAll(async () => {
      const key = process.env[variable.replace('URL', 'KEY')];
      bridge = await remote(name, { url, model, ...(key !== undefined && { key }) });
    });
    afterAll(() => bridge?.stop());
    const contextTokens = Number(process.env[variable.replace('URL', 'CONTEXT')] ?? 4096);
    engineConformance(variable, () => ({
      endpoint: started(bridge).endpoint,
      traits: { ...traits, contextTokens, embeddings: false, cutsPrompts: name === 'ollama' },
    }));
  });
}
