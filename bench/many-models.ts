/**
 * More models than fit, asked for in random order: real engines that hold their own memory, under a limit for three.
 *
 *   npm run bench:many-models -- [--requests 500] [--models 10] [--fit 3] [--clients 4] [--seed 1] [--home FOLDER] [--json]
 *
 * The models are one file under different names. Each request asks for a few tokens of one of them, all equally likely.
 * Counts the loads, and those that LRU with room for as many models would have had for the same requests in the same order.
 * Ends with 1 when a request is not answered or more memory is taken than the limit.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatBytes } from '#kernel/quantities';
import { readGguf } from '#models/gguf';
import { planMemory } from '#models/plan';
import { mulberry32 } from '#simulator/random';
import { startPlatform } from '../test/_platform.ts';
import type { TestPlatform } from '../test/_platform.ts';
import { prepared } from '../test/_prepared.ts';
import { watch } from './density/watch.ts';
import { main, readOptions, wholeNumber } from './_options.ts';

const context = 512;
const stepMs = 500;

const definition = (id: string, path: string) => `id: ${id}
name: ${id}
summary: The same weights under another name
size: 98MiB
context: ${String(context)}
slots: 1
sources:
  - file: { path: '${path}' }
`;

/** How often LRU loads a model when it has room for so many. */
export function lruLoads(order: readonly string[], room: number): number {
  const held: string[] = [];
  let loads = 0;
  for (const id of order) {
    const at = held.indexOf(id);
    if (at >= 0) held.splice(at, 1);
    else loads++;
    held.push(id);
    if (held.length > room) held.shift();
  }
  return loads;
}

interface Outcome {
  readonly id: string;
  readonly ok: boolean;
  readonly ms: number;
  readonly said: string;
}

async function ask(platform: TestPlatform, id: string): Promise<Outcome> {
  const began = performance.now();
  const body = JSON.stringify({ model: id, messages: [{ role: 'user', content: 'Say hello.' }], max_tokens: 4 });
  const response = await platform.fetch('/v1/chat/completions', { method: 'POST', body });
  const text = await response.text();
  const ok = response.status === 200 && text.includes('"finish_reason"');
  return { id, ok, ms: performance.now() - began, said: ok ? '' : `${String(response.status)} ${text.slice(0, 200)}` };
}

/** So many clients, each sending its next request when its last was answered. The order is the order of sending. */
async function drive(platform: TestPlatform, order: readonly string[], clients: number): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let sent = 0;
  const client = async () => {
    for (let id = order[sent++]; id !== undefined; id = order[sent++]) {
      outcomes.push(await ask(platform, id));
      if (outcomes.length % 25 === 0) process.stderr.write(`${String(outcomes.length)} of ${String(order.length)}\n`);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return outcomes;
}

const quantile = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? NaN;

const table = {
  requests: { value: 'N', help: 'how many are sent (500)' },
  models: { value: 'N', help: 'how many there are (10)' },
  fit: { value: 'N', help: 'for how many the limit is (3)' },
  clients: { value: 'N', help: 'requests at once (4)' },
  seed: { value: 'N', help: 'of the order (1)' },
  home: { value: 'FOLDER', help: 'where the engine and the model are kept; without it they are fetched' },
  json: { help: 'one line of JSON only' },
};

await main(async () => {
  const options = readOptions('bench:many-models', 'More models than fit, asked for in random order.', table);
  if (!options) return;
  const number = (name: string, otherwise: string) => wholeNumber(`--${name}`, options.one(name) ?? otherwise);
  const [requests, models, fit] = [number('requests', '500'), number('models', '10'), number('fit', '3')];
  const [clients, seed] = [number('clients', '4'), number('seed', '1')];
  const home = await mkdtemp(join(tmpdir(), 'sutaz-many-'));
  let platform: TestPlatform | undefined;
  try {
    const kept = options.one('home');
    const { modelPath } = await prepared(kept ?? home);
    if (kept !== undefined) await cp(join(kept, 'env'), join(home, 'env'), { recursive: true, verbatimSymlinks: true });
    const plan = planMemory(await readGguf(modelPath), { contextPerSlot: context, slots: 1, batch: 32 });
    // A part of one more, so that it is the scheduler and not the arithmetic that decides.
    const limit = Math.round(plan.total * (fit + 0.4));
    const ids = Array.from({ length: models }, (_, i) => `many:${String(i)}`);
    const random = mulberry32(seed);
    const order = Array.from({ length: requests }, () => ids[Math.floor(random() * models)] ?? '');
    const catalog = Object.fromEntries(
      ids.map((id) => [`models/${id.replace(':', '-')}.yaml`, definition(id, modelPath)]),
    );
    platform = await startPlatform({ home, catalog, memory: String(limit) });
    const watched = watch(platform, stepMs);
    const began = performance.now();
    const outcomes = await drive(platform, order, clients);
    const minutes = (performance.now() - began) / 60_000;
    await watched.stop();
    const failed = outcomes.filter(({ ok }) => !ok);
    for (const { id, said } of failed.slice(0, 5)) process.stderr.write(`NOT ANSWERED: ${id}: ${said}\n`);
    const most = (of: (sample: (typeof watched.samples)[number]) => number) => Math.max(...watched.samples.map(of));
    const loads = watched.counts.get('start') ?? 0;
    const lru = lruLoads(order, fit);
    const waits = outcomes.map(({ ms }) => ms);
    const found = {
      ...{ requests, answered: requests - failed.length, models, fit, clients, seed, limit },
      ...{ mostReserved: most(({ reservedBytes }) => reservedBytes), mostPss: most(({ pssBytes }) => pssBytes) },
      ...{ loads, lruLoads: lru, ratio: loads / lru, unasked: watched.unasked.length },
      ...{ p50Ms: quantile(waits, 0.5), p95Ms: quantile(waits, 0.95), longestMs: Math.max(...waits), minutes },
    };
    if (options.has('json')) console.log(JSON.stringify(found));
    else {
      console.log(`${String(found.answered)} of ${String(requests)} answered in ${minutes.toFixed(1)} minutes`);
      console.log(`loads ${String(loads)}, LRU's ${String(lru)}: ${found.ratio.toFixed(2)}`);
      console.log(
        `limit ${formatBytes(limit)}, reserved at most ${formatBytes(found.mostReserved)}, used (PSS) at most ${formatBytes(found.mostPss)}`,
      );
      const seconds = [found.p50Ms, found.p95Ms, found.longestMs].map((ms) => (ms / 1000).toFixed(1));
      console.log(`answers: p50 ${seconds[0] ?? ''} s, p95 ${seconds[1] ?? ''} s, longest ${seconds[2] ?? ''} s`);
    }
    const promised =
      failed.length === 0 && found.mostReserved <= limit && found.mostPss <= limit && found.unasked === 0;
    if (!promised) process.exitCode = 1;
  } finally {
    await platform?.stop();
    await rm(home, { recursive: true, force: true });
  }
});
