// Whether two models that generate at once had better have all threads each, half of them each, or one after the other all:
//   npm run bench:threads -- --tokens 96 --rounds 5
// Real engines (the embedded one, smollm2:135m), fetched as a user's would be. What else runs on the machine is in the figures:
// the three ways are measured in turns, so that it is in all of them.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildCatalog } from '#catalog/snapshot';
import { readFolders } from '#catalog/source';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { createPuller } from '#models/pull';
import { openModelStore } from '#models/store';
import { openEnvironments } from '#runtime/environments/environments';
import { freePort } from '#runtime/ports';
import { main, readOptions, wholeNumber } from './_options.ts';

const root = join(import.meta.dirname, '..');
const key = 'bench';

interface Place {
  readonly environment: string;
  readonly model: string;
}

async function prepare(home: string): Promise<Place> {
  const signal = new AbortController().signal;
  const host = { clock: systemClock, log: silentLogger };
  const catalog = buildCatalog(await readFolders([{ path: join(root, 'catalog'), origin: 'built-in' }]));
  const engine = catalog.services.get('llama')?.definition.run.process;
  const model = catalog.models.get('smollm2:135m')?.definition;
  if (!engine || !model) throw new Error('The catalogue lacks the embedded engine or the smallest model.');
  const environments = await openEnvironments({ dir: join(home, 'env'), ...host });
  const environment = await environments.ensure(engine, { signal });
  const store = await openModelStore({ dir: join(home, 'models'), ...host });
  const pulled = await createPuller({ store, ...host, env: process.env }).pull(model.id, model.sources, { signal });
  return { environment: environment?.path ?? '', model: pulled.path };
}

interface Engine {
  /** Tokens generated. */
  generate(tokens: number): Promise<number>;
  stop(): Promise<void>;
}

async function startEngine({ environment, model }: Place, threads: number): Promise<Engine> {
  const port = await freePort('127.0.0.1');
  const child: ChildProcess = spawn(process.execPath, [join(root, 'catalog/services/llama/server.ts')], {
    stdio: 'ignore',
    env: {
      PATH: process.env.PATH,
      ...{ SUTAZ_HOST: '127.0.0.1', SUTAZ_PORT: String(port), SUTAZ_ENGINE_KEY: key, SUTAZ_ENV: environment },
      ...{ SUTAZ_MODEL_PATH: model, SUTAZ_MODEL_ID: 'm', SUTAZ_CONTEXT: '1024', SUTAZ_SLOTS: '1' },
      SUTAZ_THREADS: String(threads),
    },
  });
  const kill = () => void child.kill();
  process.once('exit', kill);
  const url = `http://127.0.0.1:${port}`;
  const isUp = () =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  for (let left = 600; !(await isUp()); left--) {
    if (left === 0 || child.exitCode !== null) throw new Error('The engine did not start.');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    async generate(tokens) {
      const response = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: JSON.stringify({ model: 'm', prompt: 'Once upon a time', max_tokens: tokens, temperature: 0 }),
      });
      const { usage } = (await response.json()) as { usage: { completion_tokens: number } };
      return usage.completion_tokens;
    },
    async stop() {
      process.off('exit', kill);
      const gone = once(child, 'exit');
      child.kill();
      await gone;
    },
  };
}

/** Tokens a second of both together. */
async function rate(work: () => Promise<readonly number[]>): Promise<number> {
  const began = performance.now();
  const tokens = await work();
  return tokens.reduce((sum, count) => sum + count, 0) / ((performance.now() - began) / 1_000);
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

async function measure(place: Place, tokens: number, rounds: number): Promise<void> {
  const cores = availableParallelism();
  const half = Math.max(1, cores >> 1);
  const engines: Engine[] = [];
  try {
    for (const threads of [cores, cores, half, half]) engines.push(await startEngine(place, threads));
    const [a, b, c, d] = engines as [Engine, Engine, Engine, Engine];
    const ways: readonly (readonly [string, () => Promise<readonly number[]>])[] = [
      [`one after the other, ${cores} threads each`, async () => [await a.generate(tokens), await b.generate(tokens)]],
      [`at once, ${cores} threads each`, () => Promise.all([a.generate(tokens), b.generate(tokens)])],
      [`at once, ${half} threads each`, () => Promise.all([c.generate(tokens), d.generate(tokens)])],
      [`one after the other, ${half} threads each`, async () => [await c.generate(tokens), await d.generate(tokens)]],
    ];
    const rates = new Map<string, number[]>(ways.map(([name]) => [name, []]));
    for (const engine of engines) await engine.generate(4);
    for (let round = 0; round < rounds; round++) {
      for (const [name, work] of ways) rates.get(name)?.push(await rate(work));
    }
    console.log(`${cores} cores, load ${loadavg()[0]?.toFixed(1)}, ${tokens} tokens of each model, ${rounds} rounds`);
    console.log('| two models | tokens/s of both, median | least | most |\n|---|---|---|---|');
    for (const [name, seen] of rates) {
      const figures = [median(seen), Math.min(...seen), Math.max(...seen)].map((value) => value.toFixed(1));
      console.log(`| ${[name, ...figures].join(' | ')} |`);
    }
  } finally {
    await Promise.all(engines.map((engine) => engine.stop()));
  }
}

// Its engines must not outlive it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

await main(async () => {
  const options = readOptions('bench:threads', 'What threads cost two models that generate at once.', {
    tokens: { value: 'N', help: 'tokens that each generates (96)' },
    rounds: { value: 'N', help: 'how often each way is measured (5)' },
    home: { value: 'DIR', help: 'where the engine and the model are kept; a temporary one without it' },
  });
  if (!options) return;
  const home = options.one('home') ?? (await mkdtemp(join(tmpdir(), 'sutaz-threads-')));
  try {
    const [tokens, rounds] = [options.one('tokens') ?? '96', options.one('rounds') ?? '5'];
    await measure(await prepare(home), wholeNumber('--tokens', tokens), wholeNumber('--rounds', rounds));
  } finally {
    if (!options.has('home')) await rm(home, { recursive: true, force: true });
  }
});
