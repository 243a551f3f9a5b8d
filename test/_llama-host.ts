import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createInterface } from 'node:readline';
import OpenAI from 'openai';
import { expect } from 'vitest';

const environment = process.env['SUTAZ_TEST_LLAMA_ENV'];
export const model = process.env['SUTAZ_TEST_MODEL'];
export const missing = [
  ...(environment ? [] : ['SUTAZ_TEST_LLAMA_ENV (a folder with node-llama-cpp installed)']),
  ...(model ? [] : ['SUTAZ_TEST_MODEL (a chat model as GGUF)']),
];
if (missing.length > 0) console.warn(`tests of the llama host are skipped: set ${missing.join(' and ')}.`);

export const key = 'sk-llama-test';
const server = join(import.meta.dirname, '../catalog/services/llama/server.ts');

interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface Child {
  readonly process: ChildProcess;
  readonly url: string;
  readonly client: OpenAI;
  readonly log: LogLine[];
  stderr(): string;
}

export function launch(variables: Record<string, string>): {
  process: ChildProcess;
  log: LogLine[];
  stderr: () => string;
} {
  const child = spawn(process.execPath, [server], {
    env: {
      PATH: process.env['PATH'],
      SUTAZ_PORT: '0',
      SUTAZ_ENGINE_KEY: key,
      SUTAZ_ENV: environment,
      SUTAZ_MODEL_PATH: model,
      SUTAZ_MODEL_ID: 'tiny',
      SUTAZ_CONTEXT: '512',
      SUTAZ_SLOTS: '2',
      // One thread: the cores may be shared with other work, and waiting threads spin.
      SUTAZ_THREADS: '1',
      ...variables,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log: LogLine[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => log.push(JSON.parse(line) as LogLine));
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return { process: child, log, stderr: () => stderr };
}

/** Polls a real process, for as long as a loaded machine may take. */
export async function until<T>(look: () => T | Promise<T>, wanted: (seen: T) => boolean, within = 120_000): Promise<T> {
  const end = performance.now() + within;
  for (;;) {
    const seen = await look();
    if (wanted(seen)) return seen;
    if (performance.now() > end) throw new Error(`not within ${String(within)} ms; last seen: ${JSON.stringify(seen)}`);
    await delay(10);
  }
}

export async function started(variables: Record<string, string> = {}): Promise<Child> {
  const child = launch(variables);
  try {
    const listening = await until(
      () => child.log.find(({ event }) => event === 'listening'),
      (line) => line !== undefined,
    );
    const url = `http://127.0.0.1:${String(listening?.['port'])}`;
    const health = async () => (await fetch(`${url}/health`)).status;
    expect(await health()).toBe(503);
    await until(health, (status) => status === 200);
    const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0, timeout: 110_000 });
    return { ...child, url, client };
  } catch (error) {
    await stopped(child);
    throw error;
  }
}

export async function stopped({ process: child }: { process: ChildProcess }): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
