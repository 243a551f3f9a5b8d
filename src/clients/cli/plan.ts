import type { ApiPlan, ApiPlannedUnit } from '#contracts/explanations';
import { formatBytes, parseBytes } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import type { Context } from './context.ts';
import { CliFailure, exitCodes, usageError } from './failure.ts';
import type { ExitCode } from './failure.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column, TableOptions } from './table.ts';

export const plan = defineCommand({
  arguments: 'NAME...',
  about:
    'Says whether services and models fit into memory together, with what they need and beside what is pinned or always\n' +
    'on, before anything is started. Each counts for the larger of what its definition declares and what earlier runs\n' +
    'taught. When they do not fit together it says which would sleep while the others work. Works without a platform, too.\n' +
    'Exit code 0: all at once; 5: in turns; 1: at least one can never start.',
  options: {
    memory: { type: 'string', value: 'SIZE', help: 'Under another limit than the present one, as in 8GiB' },
  },
  examples: ['sutaz plan chroma smollm2:135m', 'sutaz plan --memory 4GiB n8n qdrant qwen3:0.6b && sutaz up'],
  async run({ memory }, names, context) {
    const limitBytes = memory === undefined ? null : parseBytes(memory);
    if (limitBytes === 0 || (memory !== undefined && limitBytes === null)) {
      throw usageError(`--memory ${memory} is not a size. Write it as 8GiB or 512MiB.`);
    }
    const told = await ask(names, limitBytes, context);
    const width = context.outTty ? context.columns() : Infinity;
    if (context.json) context.printJson(told);
    else context.out(renderPlan(told, { width, paint: painter(context.outTty, context.env) }));
    return codes[told.verdict];
  },
});

const codes: Readonly<Record<ApiPlan['verdict'], ExitCode>> = {
  together: exitCodes.ok,
  'in-turns': exitCodes.inTurns,
  never: exitCodes.failed,
};

/** The running platform knows best what was learned; without one, what is on the disk says it. */
async function ask(names: readonly string[], limitBytes: number | null, context: Context): Promise<ApiPlan> {
  const client = await context.connect().catch((error: unknown) => {
    if (error instanceof CliFailure && error.exitCode === exitCodes.notRunning) return null;
    throw error;
  });
  if (!client) return context.composition.planOffline({ home: context.home.root, names, limitBytes });
  return client.readPlan({ unit: names, ...(limitBytes === null ? {} : { limit: limitBytes }) });
}

const nameOf = (id: string): string => id.slice(id.indexOf('/') + 1);
const list = (ids: readonly string[]): string => ids.map(nameOf).join(', ');

const columns: readonly Column<ApiPlannedUnit>[] = [
  { title: 'NAME', value: ({ id }) => nameOf(id) },
  { title: 'RESERVES', align: 'right', value: ({ bytes }) => formatBytes(bytes.reserved) },
  { title: 'DECLARED', align: 'right', value: ({ bytes }) => formatBytes(bytes.declared) },
  {
    title: 'LEARNED',
    align: 'right',
    value: ({ bytes }) => (bytes.learned === null ? '-' : formatBytes(bytes.learned)),
  },
  { title: 'NOTE', value: noteOf, colour: ({ fits, sleeps }) => (fits ? (sleeps ? 'cyan' : undefined) : 'red') },
];

function noteOf({ stays, neededBy, fits, sleeps, bytes, vram, estimated }: ApiPlannedUnit): string {
  const parts = [
    ...(stays ? [stays === 'core' ? 'core, always on' : stays] : []),
    ...(neededBy.length > 0 ? [`needed by ${list(neededBy)}`] : []),
    ...(bytes.withNeeds > bytes.reserved ? [`${formatBytes(bytes.withNeeds)} with what it needs and what stays`] : []),
    ...(vram ? [`${formatBytes(vram.bytes)} on ${vram.device}`] : []),
    ...(estimated ? ['a guess until it was pulled'] : []),
    ...(sleeps ? ['sleeps while the others work'] : []),
    ...(fits ? [] : ['can never start']),
  ];
  return parts.join('; ') || '-';
}

export function renderPlan(told: ApiPlan, options: TableOptions): string {
  const { units, always, devices = [], elsewhere, limitBytes, limitReason, alwaysBytes, totalBytes, spareBytes } = told;
  const held = always.map(({ id, bytes, why }) => `${nameOf(id)} (${why}, ${formatBytes(bytes)})`).join(', ');
  const from = limitReason === '' ? '' : ` (${limitReason})`;
  const less = alwaysBytes > 0 ? `, of which ${formatBytes(alwaysBytes)} are held for good by ${held}` : '';
  const rest = spareBytes < 0 ? `${formatBytes(-spareBytes)} too much` : `${formatBytes(spareBytes)} to spare`;
  return [
    ...(units.length > 0 ? [renderTable(columns, units, options), '\n'] : []),
    `Together ${formatBytes(totalBytes)} of ${formatBytes(limitBytes)}${from}${less}: ${rest}.\n`,
    ...devices.map(cardLine),
    ...(elsewhere.length > 0 ? [`Takes nothing here, since it runs elsewhere: ${list(elsewhere)}.\n`] : []),
    `${options.paint(colours[told.verdict], verdictOf(told))}\n`,
  ].join('');
}

/** What they take of one graphics card. */
function cardLine({
  id,
  limitBytes,
  alwaysBytes,
  totalBytes,
  spareBytes,
}: NonNullable<ApiPlan['devices']>[number]): string {
  const less = alwaysBytes > 0 ? `, of which ${formatBytes(alwaysBytes)} are held for good` : '';
  const rest = spareBytes < 0 ? `${formatBytes(-spareBytes)} too much` : `${formatBytes(spareBytes)} to spare`;
  return `On ${id} ${formatBytes(totalBytes)} of ${formatBytes(limitBytes)}${less}: ${rest}.\n`;
}

const colours = { together: 'green', 'in-turns': 'yellow', never: 'red' } as const;

function verdictOf({ verdict, units, limitBytes, alwaysBytes }: ApiPlan): string {
  if (verdict === 'together') return units.length > 1 ? 'They fit together.' : 'It fits.';
  const sleeping = units.filter(({ sleeps }) => sleeps).map(({ id }) => id);
  if (verdict === 'in-turns') {
    return `They do not fit together, but can take turns: ${list(sleeping)} would sleep while the others work.`;
  }
  const left = formatBytes(Math.max(0, limitBytes - alwaysBytes));
  const large = units
    .filter(({ fits }) => !fits)
    .map(({ id, bytes }) => `${nameOf(id)} needs ${formatBytes(bytes.withNeeds)}`);
  return `${large.join(', ')} and at most ${left} can be had: that can never start. Raise the limit, or choose smaller ones.`;
}
