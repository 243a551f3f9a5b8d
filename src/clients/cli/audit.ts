import type { ApiAuditEntry } from '#contracts/security-api';
import { defineCommand } from './command.ts';
import { usageError } from './failure.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';

const columns: readonly Column<ApiAuditEntry>[] = [
  { title: 'TIME', value: ({ at }) => at.slice(0, 19).replace('T', ' ') },
  { title: 'WHO', value: ({ principal }) => principal ?? '-' },
  { title: 'KEY', value: ({ keyId }) => keyId ?? '-' },
  { title: 'FROM', value: ({ from }) => from ?? '-' },
  {
    title: 'STATUS',
    value: ({ status }) => String(status ?? '-'),
    colour: ({ status }) => ((status ?? 0) >= 400 ? 'red' : undefined),
  },
  { title: 'WHAT', value: ({ what, target }) => (target === null ? what : `${what} ${target}`) },
];

export const audit = defineCommand({
  arguments: '',
  about:
    'Shows who changed what, the newest first: keys, units started and stopped by hand, models, the configuration.',
  options: {
    limit: { type: 'string', short: 'n', value: 'COUNT', help: 'Entries at most (otherwise 100)' },
    what: { type: 'string', value: 'CALL', help: 'Only what was done so: createKey, stopUnit' },
    principal: { type: 'string', value: 'WHO', help: 'Only what they did' },
    before: { type: 'string', value: 'TIME', help: 'Only what was before this time' },
  },
  examples: ['sutaz audit', 'sutaz audit --what createKey --limit 10'],
  async run(values, _words, context) {
    const client = await context.connect();
    const { limit, before, what, principal } = values;
    const list = await client.readAudit({
      ...(limit === undefined ? {} : { limit: countOf(limit) }),
      ...(before === undefined ? {} : { before }),
      ...(what === undefined ? {} : { what }),
      ...(principal === undefined ? {} : { principal }),
    });
    if (context.json) return context.printJson(list);
    if (list.entries.length === 0) return context.out('Nothing of that kind was changed.\n');
    const width = context.outTty ? context.columns() : Infinity;
    context.out(renderTable(columns, list.entries, { width, paint: painter(context.outTty, context.env) }));
  },
});

function countOf(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw usageError(`--limit ${text} is no count: say a number from 1 to 1000.`);
}
