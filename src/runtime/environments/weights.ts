import { once } from 'node:events';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { extname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ReadyMarker } from './folders.ts';
import { weightName } from './weigh.ts';
import type { Weight } from './weigh.ts';

type Weighed = Pick<ReadyMarker, 'id' | 'builtAt'>;

/**
 * What environments weigh. One that was built does not change any more, so that it is looked at once, and what was found is kept
 * beside it until it is built anew, moved, or links to it went with a prune.
 */
export interface Weights {
  /** In the order of what was asked for. */
  all(environments: readonly Weighed[]): Promise<Weight[]>;
  /** Files may have fewer links than they had. */
  forget(ids: readonly string[]): Promise<void>;
}

export function openWeights(dir: string, look: (path: string) => Promise<Weight> = weighApart): Weights {
  const weightOf = async ({ id, builtAt }: Weighed): Promise<Weight> => {
    const path = join(dir, id);
    const folder = await stat(path).catch(() => null);
    if (!folder) return nothing;
    const head = [layout, builtAt, folder.ino];
    const known = await readKept(path, head);
    if (known) return known;
    const weight = await look(path);
    // Only quicker the next time: a folder that cannot be written to is weighed again.
    await keep(path, head, weight).catch(() => undefined);
    return weight;
  };
  return {
    async all(environments) {
      const found: Weight[] = [];
      const rest = environments.entries();
      // Two threads, also where there are more cores: the disk is another's as well.
      const lanes = Array.from({ length: Math.min(2, availableParallelism()) }, async () => {
        for (const [at, environment] of rest) found[at] = await weightOf(environment);
      });
      await Promise.all(lanes);
      return found;
    },
    async forget(ids) {
      await Promise.all(ids.map((id) => rm(join(dir, id, weightName), { force: true })));
    },
  };
}

/** Of one that went while others were looked at. */
const nothing: Weight = { aloneBytes: 0, linked: new Float64Array() };

/** Of the file: another layout is another number. */
const layout = 1;

/** Numbers, since it has two for each of some hundred thousand files: the head, the bytes alone, then those of `linked`. */
async function readKept(path: string, head: readonly number[]): Promise<Weight | null> {
  const bytes = await readFile(join(path, weightName)).catch(() => null);
  if (!bytes || bytes.byteLength % 8 !== 0) return null;
  const numbers = new Float64Array(
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
  );
  if (head.some((value, i) => numbers[i] !== value)) return null;
  return { aloneBytes: numbers[head.length] ?? 0, linked: numbers.slice(head.length + 1) };
}

async function keep(path: string, head: readonly number[], { aloneBytes, linked }: Weight): Promise<void> {
  const numbers = new Float64Array(head.length + 1 + linked.length);
  numbers.set([...head, aloneBytes]);
  numbers.set(linked, head.length + 1);
  const temporary = join(path, `${weightName}.new`);
  await writeFile(temporary, numbers);
  await rename(temporary, join(path, weightName));
}

const worker = new URL(`./weigh-worker${extname(import.meta.filename)}`, import.meta.url);

async function weighApart(path: string): Promise<Weight> {
  const thread = new Worker(worker, { workerData: { path } });
  // An error that it ends with is thrown from here.
  const [weight] = (await once(thread, 'message')) as [Weight];
  return weight;
}

/** Bytes of several together: a file that more than one of them has is counted once. */
export function bytesTogether(weights: readonly Weight[]): number {
  const seen = new Set<number>();
  let bytes = 0;
  for (const { aloneBytes, linked } of weights) {
    bytes += aloneBytes;
    for (let i = 0; i < linked.length; i += 2) {
      const inode = linked[i] ?? 0;
      if (seen.has(inode)) continue;
      seen.add(inode);
      bytes += linked[i + 1] ?? 0;
    }
  }
  return bytes;
}

export function linkedBytes({ linked }: Weight): number {
  let bytes = 0;
  for (let i = 1; i < linked.length; i += 2) bytes += linked[i] ?? 0;
  return bytes;
}
