/**
 * The embedded engine beside llama.cpp's own server: the same file, threads, context and slots, in turn within one run.
 *
 *   npm run bench:models -- [--rounds 7] [--threads 1] [--home FOLDER] [--json]
 *
 * 1. Tokens a second of one request and of four at once, from sending to the end.
 * 2. Time to the first token of a conversation of 1,500 tokens, and of its second turn.
 * 3. From a client's leaving to its slot being free, in the middle of an answer and of a prompt (the embedded engine's own log).
 *
 * Prints medians and ratios; ends with 1 when a goal is missed.
 */
import { request } from 'node:http';
import { startEngine } from '../test/_engine.ts';
import type { StartedEngine } from '../test/_engine.ts';
import { prepared } from '../test/_prepared.ts';
import { until } from '../test/_processes.ts';
import { chat } from './models/client.ts';
import type { Message } from './models/client.ts';
import { homeOf } from './_home.ts';
import { main, median, readOptions, wholeNumber } from './_options.ts';

const slots = 4;
const context = 2048;
const answerTokens = 128;
/** How often each rate is measured within a round. */
const turns = 3;

const words = 'The old harbour town woke slowly while gulls argued over the nets and a grey ship waited for the tide. ';
const topics = [
  'sailors',
  'mountains',
  'a clockmaker',
  'winter bread',
  'lost letters',
  'an orchard',
  'two foxes',
  'rain',
];
const story = (i: number): Message[] => [
  { role: 'user', content: `Tell me a very long story about ${topics[i % topics.length] ?? ''}, part ${String(i)}.` },
];
/** About 1,500 tokens, different from its first words on: nothing of an earlier one can be reused. */
const longText = (i: number) => `Chronicle ${String(i * 7919)}. ${words.repeat(66)} What happened in the harbour?`;

interface Round {
  readonly one: number;
  readonly four: number;
  readonly sampled: number;
  readonly promptTokens: number;
  readonly firstMs: number;
  readonly secondMs: number;
  readonly secondCached: number;
}

/** Over several rounds of `count` requests at once: one alone takes a second, in which any other process is seen. */
async function rate(engine: StartedEngine, first: number, count: number, sampling?: object): Promise<number> {
  const began = performance.now();
  const options = { maxTokens: answerTokens, ...(sampling && { sampling }) };
  let tokens = 0;
  for (let turn = 0; turn < turns; turn++) {
    const at = first + turn * count;
    const stories = Array.from({ length: count }, (_, i) => chat(engine.endpoint, story(at + i), options));
    for (const { completionTokens } of await Promise.all(stories)) tokens += completionTokens;
  }
  return tokens / ((performance.now() - began) / 1000);
}

async function round(engine: StartedEngine, i: number): Promise<Round> {
  const one = await rate(engine, i * 100, 1);
  const sampled = await rate(engine, i * 100 + 50, 1, {
    temperature: 0.8,
    top_p: 0.95,
    top_k: 40,
    min_p: 0.05,
    seed: i,
  });
  const four = await rate(engine, i * 100 + 10, 4);
  const question: Message = { role: 'user', content: longText(i) };
  const first = await chat(engine.endpoint, [question], { maxTokens: 24 });
  const second = await chat(
    engine.endpoint,
    [question, { role: 'assistant', content: first.text }, { role: 'user', content: 'And what came after that?' }],
    { maxTokens: 8 },
  );
  return {
    ...{ one, four, sampled, promptTokens: first.promptTokens, firstMs: first.firstMs },
    ...{ secondMs: second.firstMs, secondCached: second.cachedTokens },
  };
}

/** Leaves once `wanted` was seen; milliseconds from the socket's close to the slot being free, by the engine's log. */
async function leave({ endpoint, log }: StartedEngine, messages: readonly Message[], wanted: string): Promise<number> {
  const freed = () => [...log().matchAll(/"freedMs":(\d+)/g)].map(([, ms]) => Number(ms));
  const before = freed().length;
  const body = JSON.stringify({ model: endpoint.model, messages, stream: true, max_tokens: 1000, temperature: 0 });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${endpoint.key ?? ''}` };
  const req = request(`${endpoint.url}/v1/chat/completions`, { method: 'POST', headers });
  let text = '';
  req.on('error', () => undefined);
  req.on('response', (res) => res.on('data', (chunk: Buffer) => (text += chunk.toString())));
  req.end(body);
  await until(() => text.includes(wanted), 'the answer to begin', 60_000);
  req.destroy();
  await until(() => freed().length > before, 'the slot to be free', 60_000);
  return freed().at(-1) ?? NaN;
}

const about = "The embedded engine beside llama.cpp's own server, in one run.";
const table = {
  rounds: { value: 'N', help: 'how often each is measured (7)' },
  threads: { value: 'N', help: 'of each engine (1)' },
  home: { value: 'FOLDER', help: 'where the engine and the model are kept; without it a temporary one' },
  json: { help: 'one line of JSON only' },
};

interface Row {
  readonly what: string;
  readonly llama: number;
  readonly server: number;
  readonly ratio: number;
  readonly goal: string;
  readonly met: boolean | null;
}

const mid = (rounds: readonly Round[], key: keyof Round) => median(rounds.map((seen) => seen[key]));

function rowsOf(llama: readonly Round[], server: readonly Round[]): Row[] {
  /** Pair by pair: what disturbs the machine disturbs both. */
  const paired = (key: keyof Round) => median(llama.map((seen, i) => seen[key] / (server[i]?.[key] ?? NaN)));
  const row = (what: string, key: keyof Round, goal: string, met: (ratio: number) => boolean | null): Row => {
    const ratio = paired(key);
    return { what, llama: mid(llama, key), server: mid(server, key), ratio, goal, met: met(ratio) };
  };
  const fast = (ratio: number) => ratio >= 0.95;
  const turn = (rounds: readonly Round[]) => median(rounds.map(({ firstMs, secondMs }) => secondMs / firstMs));
  return [
    row('tokens a second, 1 request', 'one', '>= 0.95', fast),
    row('the same, sampled (top_k 40)', 'sampled', '>= 0.95', fast),
    row('tokens a second, 4 at once', 'four', '>= 0.95', fast),
    row('tokens of the prompt', 'promptTokens', '', () => null),
    row('first token, ms', 'firstMs', '', () => null),
    row('first token of the second turn, ms', 'secondMs', '', () => null),
    {
      what: 'second turn / first',
      llama: turn(llama),
      server: turn(server),
      ratio: NaN,
      goal: 'llama <= 0.25',
      met: turn(llama) <= 0.25,
    },
  ];
}

function print(rows: readonly Row[], left: { readonly generating: number[]; readonly evaluating: number[] }): void {
  const shown = (value: number) => (Number.isNaN(value) ? '' : value >= 20 ? value.toFixed(0) : value.toFixed(2));
  console.log('| | llama | llama-server | ratio, pair by pair | goal |\n|---|--:|--:|--:|---|');
  for (const { what, llama, server, ratio, goal, met } of rows) {
    const mark = met === null ? '' : met ? ' (met)' : ' (MISSED)';
    console.log(`| ${what} | ${shown(llama)} | ${shown(server)} | ${shown(ratio)} | ${goal}${mark} |`);
  }
  const worst = (ms: number[]) => `p50 ${String(median(ms))} ms, longest ${String(Math.max(...ms))} ms`;
  console.log(
    `\nFreed after the client left: ${worst(left.generating)} generating, ${worst(left.evaluating)} evaluating.`,
  );
}

await main(async () => {
  const options = readOptions('bench:models', about, table);
  if (!options) return;
  const rounds = wholeNumber('--rounds', options.one('rounds') ?? '7');
  const threads = wholeNumber('--threads', options.one('threads') ?? '1');
  const home = await homeOf(options, 'models');
  const engines: StartedEngine[] = [];
  try {
    const { environment, modelPath } = await prepared(home);
    const common = { modelPath, context, slots, threads };
    const llama = await startEngine('llama', { ...common, environment });
    engines.push(llama);
    const server = await startEngine('llama-server', { ...common, environment: null });
    engines.push(server);
    const seen: Record<'llama' | 'server', Round[]> = { llama: [], server: [] };
    for (let i = 0; i <= rounds; i++) {
      const order = [['llama', llama] as const, ['server', server] as const];
      for (const [name, engine] of i % 2 === 0 ? order : order.toReversed()) {
        const found = await round(engine, i + 1);
        // The first warms both up.
        if (i > 0) seen[name].push(found);
      }
      process.stderr.write(`round ${String(i)} of ${String(rounds)}\n`);
    }
    const left: { generating: number[]; evaluating: number[] } = { generating: [], evaluating: [] };
    for (let i = 0; i < rounds; i++) {
      left.generating.push(await leave(llama, story(9000 + i), '"delta":{"content":"'));
      left.evaluating.push(await leave(llama, [{ role: 'user', content: longText(9000 + i) }], '"role"'));
    }
    const rows = rowsOf(seen.llama, seen.server);
    if (options.has('json')) console.log(JSON.stringify({ rows, left, seen }));
    else print(rows, left);
    if (rows.some(({ met }) => met === false) || Math.max(...left.generating, ...left.evaluating) > 200)
      process.exitCode = 1;
  } finally {
    for (const engine of engines) await engine.stop();
  }
});
