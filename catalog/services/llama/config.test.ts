import { describe, expect, it } from 'vitest';
import { defaultThreads, readConfig } from './config.ts';
import { createLog } from './log.ts';
import { parseRollup } from './memory.ts';
import { createMeter } from './meter.ts';

const env = {
  SUTAZ_PORT: '0',
  SUTAZ_ENGINE_KEY: 'k',
  SUTAZ_ENV: '/e',
  SUTAZ_MODEL_PATH: '/m.gguf',
  SUTAZ_MODEL_ID: 'm',
  SUTAZ_CONTEXT: '2048',
  SUTAZ_SLOTS: '4',
};

describe('configuration', () => {
  it('leaves a core to the rest of the machine', () => {
    expect(readConfig(env, 4)).toMatchObject({ host: '127.0.0.1', threads: 3, batch: 32, slots: 4 });
    expect(defaultThreads(1)).toBe(1);
    expect(readConfig({ ...env, SUTAZ_THREADS: '8' }, 4).threads).toBe(8);
  });

  it('puts no layers on a card unless it is told how many', () => {
    expect(readConfig(env).gpuLayers).toBe(0);
    expect(readConfig({ ...env, SUTAZ_GPU_LAYERS: '29' }).gpuLayers).toBe(29);
  });

  it.each(Object.keys(env))('names %s when it is missing', (name) => {
    expect(() => readConfig({ ...env, [name]: undefined })).toThrow(name);
  });

  it.each([
    ['SUTAZ_SLOTS', '0'],
    ['SUTAZ_CONTEXT', '1e9'],
    ['SUTAZ_PORT', 'http'],
    ['SUTAZ_THREADS', '1.5'],
    ['SUTAZ_GPU_LAYERS', 'all'],
  ])('refuses %s=%s', (name, value) => {
    expect(() => readConfig({ ...env, [name]: value })).toThrow(name);
  });
});

describe('small parts', () => {
  it('logs one JSON line an event', () => {
    const lines: string[] = [];
    const write = (line: string) => void lines.push(line);
    createLog(write, () => new Date(0))('ready', { slots: 4 });
    expect(lines).toEqual(['{"time":"1970-01-01T00:00:00.000Z","event":"ready","slots":4}\n']);
  });

  it('reads the memory of a process', () => {
    const rollup = 'Rss:   10 kB\nPss:              313707 kB\nPss_Anon:         221780 kB\n';
    expect(parseRollup(rollup)).toEqual({ pssBytes: 313_707 * 1024, anonymousBytes: 221_780 * 1024 });
    expect(parseRollup('')).toEqual({ pssBytes: null, anonymousBytes: null });
  });

  it('measures the speed of the last answer, without what was cached', () => {
    const meter = createMeter();
    const usage = { promptTokens: 30, cachedTokens: 10, completionTokens: 11 };
    meter.add({ kind: 'done', reason: 'stop', usage, timing: { waited: 0, prompt: 200, generation: 500 } });
    expect(meter.read()).toEqual({
      requests: 1,
      ...usage,
      tokensPerSecond: { prompt: 100, generation: 20 },
    });
  });
});
