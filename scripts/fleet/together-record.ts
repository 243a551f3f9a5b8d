/** `catalog/together.json`: what came of visiting all verified services on one small platform. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { systemCode } from '#kernel/faults';
import { formatBytes } from '#kernel/quantities';

export const togetherFile = join(import.meta.dirname, '..', '..', 'catalog', 'together.json');

const visit = {
  id: z.string(),
  seconds: z.number().describe('From the call to its answer, the start of the service included.'),
  stopped: z.array(z.string()).describe('Units that were stopped meanwhile to make room.'),
  frozen: z.array(z.string()).describe('Units that went to sleep meanwhile, keeping their memory.'),
};

const record = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('answered'), ...visit, call: z.string(), status: z.number() }),
  z.strictObject({ outcome: z.literal('failed'), ...visit, error: z.string() }),
  z.strictObject({ outcome: z.enum(['too-large', 'not-here']), ...visit, why: z.string() }),
]);

const document = z.strictObject({
  date: z.iso.date(),
  limitBytes: z.number(),
  wantedBytes: z.number().describe('What all of them would reserve if all were awake.'),
  samples: z.number(),
  peak: z
    .strictObject({ reservedBytes: z.number(), pssBytes: z.number() })
    .describe('The most that the ledger had reserved, and that all processes had in use, those of the platform too.'),
  over: z.array(z.string()).describe('Each look that found more than the limit.'),
  visits: z.array(record),
});

export type Visit = z.output<typeof record>;
export type Together = z.output<typeof document>;

export async function readTogether(file = togetherFile): Promise<Together | null> {
  try {
    return document.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}

export const noteTogether = (found: Together, file = togetherFile): Promise<void> =>
  writeFile(file, `${JSON.stringify(found, null, 2)}\n`);

/** Whether everything held: the limit at each look, and an answer of each that can fit at all. */
export const isProven = ({ over, visits }: Together): boolean =>
  over.length === 0 && visits.every(({ outcome }) => outcome !== 'failed');

/** For the README; empty where nobody has tried it yet. */
export function renderTogether(found: Together | null): string {
  if (found === null) return '';
  const { visits, limitBytes, wantedBytes, peak, over } = found;
  const [answered, large, absent, failed] = (['answered', 'too-large', 'not-here', 'failed'] as const).map((outcome) =>
    visits.filter((one) => one.outcome === outcome),
  ) as [Visit[], Visit[], Visit[], Visit[]];
  const stopped = visits.reduce((sum, one) => sum + one.stopped.length, 0);
  const names = (some: readonly Visit[]) => some.map(({ id }) => id).join(', ');
  const rest = [
    ...(large.length > 0 ? [`Larger than that alone: ${names(large)}.`] : []),
    ...(absent.length > 0 ? [`Not on that machine: ${names(absent)}.`] : []),
    ...(failed.length > 0 ? [`Failed: ${names(failed)}.`] : []),
    ...(over.length > 0 ? [`The limit was passed at ${over.length} of ${found.samples} looks.`] : []),
  ];
  return [
    `All of them at once: enabled together on one platform with ${formatBytes(limitBytes)}, where awake they would take`,
    `${formatBytes(wantedBytes)}, ${answered.length} of ${visits.length} answered when they were visited one after the other`,
    `(\`npm run test:fleet -- --together\`). At most ${formatBytes(peak.reservedBytes)} were reserved, and`,
    `${formatBytes(peak.pssBytes)} in use by all processes, the platform's included; ${stopped} times one was stopped to make room`,
    `for another. Each visit is in [catalog/together.json](catalog/together.json).${rest.map((one) => ` ${one}`).join('')}\n`,
  ].join('\n');
}
