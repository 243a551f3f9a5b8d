import type { ApiUnitUpstreams, ApiUpstream, ApiUpstreams } from '#contracts/explanations';
import { formatDuration } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column, TableOptions } from './table.ts';

export const upstreams = defineCommand({
  arguments: '[NAME...]',
  about:
    'Shows where requests go: the addresses of what runs elsewhere, and the instances here that were asked something. For\n' +
    'each how it is (closed is well; open is left alone, since it kept failing; half-open is being tried), what it was\n' +
    'given, how much of that failed, and why it gets nothing now.',
  options: {},
  examples: ['sutaz upstreams', 'sutaz upstreams searxng --json | jq .units[].upstreams[].state'],
  async run(_values, words, context) {
    const client = await context.connect();
    const told = await client.readUpstreams();
    // Each must be there: a name with a slip in it would look like one that was never asked.
    const wanted = await Promise.all(words.map(async (word) => (await client.readUnit(word)).id));
    const shown =
      wanted.length === 0 ? told : { units: told.units.filter(({ unit }) => wanted.some((id) => id === unit)) };
    if (context.json) return context.printJson(shown);
    const width = context.outTty ? context.columns() : Infinity;
    context.out(renderUpstreams(shown, { width, paint: painter(context.outTty, context.env) }));
  },
});

const nameOf = (unit: string): string => unit.slice(unit.indexOf('/') + 1);

type Row = ApiUpstream & Pick<ApiUnitUpstreams, 'unit'>;

const columns: readonly Column<Row>[] = [
  { title: 'UNIT', value: ({ unit }) => nameOf(unit) },
  { title: 'UPSTREAM', value: ({ id, role }) => `${nameOfUpstream(id)}${role === 'canary' ? ' (canary)' : ''}` },
  {
    title: 'STATE',
    value: ({ state }) => state,
    colour: ({ state }) => (state === 'closed' ? 'green' : state === 'open' ? 'red' : 'yellow'),
  },
  { title: 'NOW', align: 'right', value: ({ inFlight }) => String(inFlight) },
  { title: 'ASKED', align: 'right', value: ({ picks }) => String(picks) },
  { title: 'FAILED', align: 'right', value: ({ failures }) => String(failures) },
  {
    title: 'BEGINS IN',
    align: 'right',
    value: ({ latencyMs }) => (latencyMs === null ? '-' : formatDuration(latencyMs)),
  },
  { title: 'WHY', value: (row) => reasonOf(row) ?? '-' },
];

const nameOfUpstream = (id: string): string => (/^(service|model)\//.test(id) ? nameOf(id) : id);

/** Why it gets nothing, or less, and until when; null while all is well. */
export function reasonOf({ why, leftMs }: Pick<ApiUpstream, 'why' | 'leftMs'>): string | null {
  if (why === null) return null;
  return leftMs === null || leftMs <= 0 ? why : `${why}; tried again in ${formatDuration(leftMs)}`;
}

export function renderUpstreams({ units }: ApiUpstreams, options: TableOptions): string {
  const rows = units.flatMap(({ unit, upstreams: all }) => all.map((one): Row => ({ ...one, unit })));
  return rows.length === 0 ? 'Nothing was asked of anything yet.\n' : renderTable(columns, rows, options);
}
