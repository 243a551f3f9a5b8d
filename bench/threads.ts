// Whether two models that generate at once had better have all threads each, half of them each, or one after the other all:
//   npm run bench:threads -- --tokens 96 --rounds 5
// Real engines (the embedded one, smollm2:135m), fetched as a user's would be. What else runs on the machine is in the figures:
// the ways are measured in turns, so that it is in all of them.
import { availableParallelism, loadavg } from 'node:os';
import { startEngine } from '../test/_engine.ts';
import type { StartedEngine } from '../test/_engine.ts';
import { prepared } from '../test/_prepared.ts';
import type { Prepared } from '../test/_prepared.ts';
import { homeOf } from './_home.ts';
import { main, median, readOptions, wholeNumber } from './_options.ts';

/** Tokens generated. */
async function generate({ endpoint }: StartedEngine, tokens: number): Promise<number> {
  const response = await fetch(`${endpoint.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${endpoint.key ?? ''}` },
    body: JSON.stringify({ model: endpoint.model, prompt: 'Once upon a time', max_tokens: tokens, temperature: 0 }),
  });
  if (!response.ok) throw new Error(`The engine answered ${response.status}: ${await response.text()}`);
  const { usage } = (await response.json()) as { usage: { completion_tokens: number } };
  return usage.completion_tokens;
}

/** Tokens a second of both together. */
async function rate(work: () => Promise<readonly number[]>): Promise<number> {
  const began = performance.now();
  const tokens = await work();
  return tokens.reduce((sum, count) => sum + count, 0) / ((performance.now() - began) / 1_000);
}

async function measure(place: Prepared, tokens: number, rounds: number): Promise<void> {
  const cores = availableParallelism();
  const half = Math.max(1, cores >> 1);
  const engines: StartedEngine[] = [];
  try {
    for (const threads of [cores, cores, half, half])
      engines.push(await startEngine('llama', { ...place, context: 1024, slots: 1, threads }));
    const [a, b, c, d] = engines as [StartedEngine, StartedEngine, StartedEngine, StartedEngine];
    type Work = (x: StartedEngine, y: StartedEngine) => () => Promise<readonly number[]>;
    const inTurn: Work = (x, y) => async () => [await generate(x, tokens), await generate(y, tokens)];
    const atOnce: Work = (x, y) => () => Promise.all([generate(x, tokens), generate(y, tokens)]);
    const ways = [
      [`one after the other, ${cores} threads each`, inTurn(a, b)],
      [`at once, ${cores} threads each`, atOnce(a, b)],
      [`at once, ${half} threads each`, atOnce(c, d)],
      [`one after the other, ${half} threads each`, inTurn(c, d)],
    ] as const;
    const rates = new Map<string, number[]>(ways.map(([name]) => [name, []]));
    for (const engine of engines) await generate(engine, 4);
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

await main(async () => {
  const options = readOptions('bench:threads', 'What threads cost two models that generate at once.', {
    tokens: { value: 'N', help: 'tokens that each generates (96)' },
    rounds: { value: 'N', help: 'how often each way is measured (5)' },
    home: { value: 'DIR', help: 'where the engine and the model are kept; a temporary one without it' },
  });
  if (!options) return;
  const [tokens, rounds] = [options.one('tokens') ?? '96', options.one('rounds') ?? '5'];
  const [each, often] = [wholeNumber('--tokens', tokens), wholeNumber('--rounds', rounds)];
  await measure(await prepared(await homeOf(options, 'threads')), each, often);
});
