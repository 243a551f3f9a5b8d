// Compares what a model's header promises (src/models/plan.ts) with what it takes. One run, one process, one line:
//   node --max-semi-space-size=2 --conditions=source bench/model-memory.ts LIBRARY FILE CONTEXT SLOTS [BATCH] [FLASH] [KV] [PROMPT]
// LIBRARY is the folder of an installed node-llama-cpp, PROMPT how many tokens each slot is given.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readGguf } from '#models/gguf';
import { planMemory } from '#models/plan';
import type { KvType } from '#models/plan';

interface Sequence {
  evaluate(tokens: readonly number[], options: { readonly temperature: number }): AsyncIterable<unknown>;
}
interface Context {
  readonly contextSize: number;
  getSequence(): Sequence;
}
interface Model {
  tokenize(text: string): readonly number[];
  createContext(options: Readonly<Record<string, unknown>>): Promise<Context>;
}
interface Library {
  getLlama(
    options: Readonly<Record<string, unknown>>,
  ): Promise<{ loadModel(options: { readonly modelPath: string }): Promise<Model> }>;
}

/** Bytes of this process: its own pages, and those of files it maps, shared ones in full, so that neighbours do not matter. */
function memory(): { readonly own: number; readonly files: number } {
  const text = readFileSync('/proc/self/smaps_rollup', 'utf8');
  const of = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { own: of('Anonymous'), files: of('Rss') - of('Anonymous') };
}

async function main(argv: readonly string[]): Promise<void> {
  const [library, file, context, slots, batch = '512', flash = 'auto', kvType = 'f16', prompt = '600'] = argv;
  if (!library || !file || !context || !slots)
    throw new Error('usage: LIBRARY FILE CONTEXT SLOTS [BATCH] [FLASH] [KV] [PROMPT]');
  const entry = pathToFileURL(join(resolve(library), 'dist', 'index.js')).href;
  const { getLlama } = (await import(entry)) as Library;
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'error' });
  const model = await llama.loadModel({ modelPath: file });
  const cache = kvType.toUpperCase();
  const opened = await model.createContext({
    contextSize: Number(context),
    sequences: Number(slots),
    batchSize: Number(batch),
    flashAttention: flash === 'auto' ? 'auto' : flash === 'true',
    ignoreMemorySafetyChecks: true,
    ...(kvType !== 'f16' && { experimentalKvCacheKeyType: cache, experimentalKvCacheValueType: cache }),
  });
  const words = model.tokenize('The quick brown fox jumps over the lazy dog and then it does it again. ');
  const length = Math.min(Number(prompt), opened.contextSize - 8);
  const tokens = Array.from({ length }, (_, i) => words[i % words.length] ?? 0);
  const generate = async (sequence: Sequence) => {
    let count = 0;
    for await (const _ of sequence.evaluate(tokens, { temperature: 0 })) if (++count >= 4) break;
  };
  await Promise.all(Array.from({ length: Number(slots) }, () => generate(opened.getSequence())));
  // Measured before the header is read: reading it takes memory of its own.
  const measured = memory();
  const header = await readGguf(file);
  const plan = planMemory(header, {
    contextPerSlot: Number(context),
    slots: Number(slots),
    batch: Number(batch),
    flashAttention: flash !== 'false',
    kvType: kvType as KvType,
  });
  const total = measured.own + measured.files;
  const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20);
  const parts = [plan.weights, plan.kv, plan.compute, plan.overhead, plan.total, measured.own, measured.files, total];
  const deviation = `${((plan.total / total - 1) * 100).toFixed(1)} %`;
  console.log(
    `| ${[header.name, context, slots, batch, flash, kvType, ...parts.map(mebibytes), deviation].join(' | ')} |`,
  );
  process.exit(0);
}

await main(process.argv.slice(2));
