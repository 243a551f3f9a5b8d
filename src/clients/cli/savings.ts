import type { ApiSavedUnit, ApiSavings } from '#contracts/explanations';
import { formatBytes, formatDuration } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column, TableOptions } from './table.ts';

export const savings = defineCommand({
  arguments: '',
  about:
    'Shows the memory-hours that were spared against keeping everything awake, over the time that the platform ran, kept\n' +
    'over restarts. What was never used counts for nothing: a service or a model counts from its first start, with what\n' +
    'it would reserve less what it held. Beside it stands what was paid: the starts, and how long they took.',
  options: {},
  examples: ['sutaz savings', 'sutaz savings --json | jq .sparedByteSeconds'],
  async run(_values, _words, context) {
    const client = await context.connect();
    const told = await client.readSavings();
    if (context.json) return context.printJson(told);
    const width = context.outTty ? context.columns() : Infinity;
    context.out(renderSavings(told, { width, paint: painter(context.outTty, context.env) }));
  },
});

/** Three digits that matter; little of it in MiB-hours, so that they are not behind a row of zeros. */
export function memoryHours(byteSeconds: number): string {
  const gib = byteSeconds / 2 ** 30 / 3_600;
  const isLittle = gib !== 0 && Math.abs(gib) < 0.1;
  return `${Number((isLittle ? gib * 1_024 : gib).toPrecision(3))} ${isLittle ? 'MiB' : 'GiB'}-hours`;
}

const times = (count: number, what: string, ms: number): string =>
  `${count} ${what}${count === 1 ? '' : 's'}${count === 0 ? '' : ` (${formatDuration(ms)} altogether)`}`;

const columns: readonly Column<ApiSavedUnit>[] = [
  { title: 'NAME', value: ({ id }) => id.slice(id.indexOf('/') + 1) },
  { title: 'SPARED', align: 'right', value: ({ sparedByteSeconds }) => memoryHours(sparedByteSeconds) },
  { title: 'ALWAYS ON', align: 'right', value: ({ alwaysOnBytes }) => formatBytes(alwaysOnBytes) },
  { title: 'HOLDS', align: 'right', value: ({ heldBytes }) => formatBytes(heldBytes) },
  { title: 'STARTS', align: 'right', value: ({ starts }) => String(starts) },
  { title: 'TOOK', align: 'right', value: ({ startMs }) => formatDuration(startMs) },
  { title: 'THAWS', align: 'right', value: ({ thaws }) => String(thaws) },
  { title: 'TOOK', align: 'right', value: ({ thawMs }) => formatDuration(thawMs) },
];

export function renderSavings(told: ApiSavings, options: TableOptions): string {
  const { since, uptimeMs, averageAlwaysOnBytes, averageHeldBytes, sparedByteSeconds, units } = told;
  const ran = `Since ${since.slice(0, 10)}, while the platform ran: ${formatDuration(uptimeMs)}.`;
  if (units.length === 0) return `${ran}\nNothing was started yet, so nothing was spared.\n`;
  const share =
    averageAlwaysOnBytes > 0 ? ` (${Math.round((1 - averageHeldBytes / averageAlwaysOnBytes) * 100)} %)` : '';
  return [
    `${ran}\n`,
    `always on  ${formatBytes(averageAlwaysOnBytes)} on average: ${units.length} used at least once\n`,
    `held       ${formatBytes(averageHeldBytes)} on average\n`,
    `spared     ${options.paint('green', memoryHours(sparedByteSeconds))}${share}\n`,
    `for that   ${times(told.starts, 'start', told.startMs)}, ${times(told.thaws, 'thaw', told.thawMs)}\n\n`,
    renderTable(columns, units, options),
  ].join('');
}
