/** `catalog/verified.json`: what came of the last trial of each service, by its id. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { systemCode } from '#kernel/faults';

export const verifiedFile = join(import.meta.dirname, '..', '..', 'catalog', 'verified.json');

const common = {
  id: z.string(),
  date: z.iso.date(),
  version: z.string().nullable().describe('Of the service, as its packages or its image name it.'),
};

const trial = {
  ...common,
  way: z.enum(['process', 'docker']),
  startSeconds: z.number().nullable().describe('From the start of its process until it was healthy; of a job its run.'),
  pssBytes: z.number().nullable().describe('Memory after the call, its part of what it shares included.'),
  call: z.strictObject({ what: z.string(), status: z.number() }).nullable(),
  sleep: z.strictObject({ rung: z.enum(['frozen', 'cold']), wakeSeconds: z.number() }).nullable(),
  models: z
    .array(z.strictObject({ model: z.string(), requests: z.number() }))
    .exactOptional()
    .describe('Models that it asked at the door with keys of its own, and how often; absent where none.'),
};

const record = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('verified'), ...trial }),
  z.strictObject({ outcome: z.literal('failed'), ...trial, error: z.string() }),
  z.strictObject({ outcome: z.literal('not-here'), ...common, why: z.string() }),
]);

const document = z.strictObject({ services: z.array(record) });

export type Verification = z.output<typeof record>;
export type Trial = Exclude<Verification, { outcome: 'not-here' }>;

/** Those of before with the new ones in place of theirs, in the order of their ids. What the catalogue no longer has goes. */
export function merged(
  before: readonly Verification[],
  found: readonly Verification[],
  known: ReadonlySet<string>,
): Verification[] {
  const byId = new Map([...before, ...found].map((one) => [one.id, one]));
  return [...byId.values()].filter(({ id }) => known.has(id)).sort((a, b) => (a.id < b.id ? -1 : 1));
}

export async function readVerified(file = verifiedFile): Promise<readonly Verification[]> {
  try {
    return document.parse(JSON.parse(await readFile(file, 'utf8'))).services;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** A run of a part leaves what others found before. */
export async function noteVerified(
  found: readonly Verification[],
  known: ReadonlySet<string>,
  file = verifiedFile,
): Promise<void> {
  const services = merged(await readVerified(file), found, known);
  // JSON has no NaN: what would not be read again is not written.
  await writeFile(file, `${JSON.stringify(document.parse({ services }), null, 2)}\n`);
}
