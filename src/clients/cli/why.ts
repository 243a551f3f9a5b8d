import type { ApiUnit } from '#contracts/api';
import type { ApiLedgerUnit, ApiOption, ApiOutlook, ApiUpstream, ApiWhy } from '#contracts/explanations';
import { formatBytes, formatDuration } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column, TableOptions } from './table.ts';
import { stateLine } from './units.ts';
import { reasonOf } from './upstreams.ts';

export const why = defineCommand({
  arguments: 'NAME',
  about:
    'Says why a service or a model is in its state. Of one that made room for another it shows what was compared: what\n' +
    'was put to sleep, what else could have been, and the waiting that each was expected to cost (how long it takes to\n' +
    'come back x how soon somebody asks for it again x its priority). Of one that sleeps it says what would have to\n' +
    'stop for it to start, and of one that is awake what putting it to sleep would cost.',
  options: {},
  examples: ['sutaz why chroma', 'sutaz why qwen3:0.6b --json | jq .outlook.fits'],
  async run(_values, [name = ''], context) {
    const client = await context.connect();
    const told = await client.explainUnit(name);
    if (context.json) return context.printJson(told);
    const width = context.outTty ? context.columns() : Infinity;
    context.out(renderWhy(told, { width, paint: painter(context.outTty, context.env) }));
  },
});

export function renderWhy({ unit, facts, outlook, upstreams }: ApiWhy, options: TableOptions): string {
  const parts = [stateLine(unit), failed(unit), leftAlone(upstreams)];
  if (facts) parts.push(comparison(facts, options), awake(facts, options));
  // Memory is not what keeps one that is left alone after its failures from starting, unless it is short, too.
  const told = !holdsMemory(facts) && !(isLeftAlone(unit) && outlook?.fits === 'now');
  if (outlook && told) parts.push(start(outlook, unit.state === 'frozen' ? 'thaw' : 'start', options));
  return parts.filter((part) => part !== '').join('\n');
}

/** What of it gets no requests, though it may be awake. */
const leftAlone = (upstreams: readonly ApiUpstream[]): string =>
  upstreams
    .filter(({ state }) => state !== 'closed')
    .map((one) => `${one.id} is ${one.state}: ${reasonOf(one) ?? 'not said'}.\n`)
    .join('');

const holdsMemory = (facts: ApiLedgerUnit | null): boolean =>
  facts !== null && ['ready', 'starting', 'thawing'].includes(facts.state);

const isLeftAlone = ({ state }: ApiUnit): boolean => state === 'quarantined' || state === 'backoff';

const nameOf = (id: string): string => id.slice(id.indexOf('/') + 1);

type Row = ApiOption & { readonly chosen?: boolean };
const columns: readonly Column<Row>[] = [
  { title: 'UNIT', value: ({ unit }) => nameOf(unit) },
  { title: 'ACT', value: ({ act }) => act },
  {
    title: 'FREES',
    align: 'right',
    value: ({ bytes, device }) => `${formatBytes(bytes)}${device === undefined ? '' : ` on ${device}`}`,
  },
  { title: 'COST', align: 'right', value: ({ costMs }) => formatDuration(costMs) },
];
const chosen: Column<Row> = {
  title: 'CHOSEN',
  value: (row) => (row.chosen ? 'yes' : '-'),
  colour: (row) => (row.chosen ? 'yellow' : 'dim'),
};

/** What the eviction that put it to sleep compared. */
function comparison({ reason }: ApiLedgerUnit, options: TableOptions): string {
  const { sums = [] } = reason;
  if (reason.code !== 'evicted' || sums.length === 0) return '';
  const table = renderTable([...columns, chosen], sums, options);
  return `Compared to make room for ${nameOf(String(reason.for))}, by the waiting expected from each:\n${table}`;
}

/** What it would cost to put it to sleep now, and how that is reckoned. */
function awake(facts: ApiLedgerUnit, options: TableOptions): string {
  const { options: ways, againInMs, requestsPerHour, startMs, thawMs, evictable, weight, upkeepMs } = facts;
  if (ways.length === 0) return '';
  const may = evictable ? 'It may be put to sleep to make room.' : 'It is not put to sleep to make room now.';
  const rate = `${Number(requestsPerHour.toPrecision(2))} requests an hour lately`;
  const starts = startMs === null ? 'it was never started' : `it starts in ${formatDuration(startMs)}`;
  const thaws = thawMs === null ? '' : ` and thaws in ${formatDuration(thawMs)}`;
  return (
    `${may} Putting it to sleep would cost, by how long it takes to come back\n` +
    `(${starts}${thaws}; any start takes ${formatDuration(upkeepMs)} from the others), by how soon it is asked for again\n` +
    `(in about ${formatDuration(againInMs)}, ${rate}) and by its priority and tier (x ${Number(weight.toPrecision(2))}):\n` +
    renderTable(columns, ways, options)
  );
}

/** What is left of one that failed, and how to have it tried again. */
function failed({ failure, name }: ApiUnit): string {
  if (failure === null) return '';
  const lines = failure.log.map((line) => `  ${line}\n`).join('');
  const last = lines === '' ? '' : `The last it wrote (sutaz logs ${name} has all of it):\n${lines}`;
  return `${last}It is tried again at once by: sutaz start ${name}\n`;
}

/** What would have to happen for it to start, or to thaw. */
function start(outlook: ApiOutlook, way: Way, options: TableOptions): string {
  const { need, free, coming, card, wouldStop, blockedBy, fits, paused } = outlook;
  const back = coming > 0 ? `, ${formatBytes(coming)} are coming back` : '';
  const more = way === 'thaw' ? ' more' : '';
  const sums = `To ${way} it needs ${formatBytes(need)}${more}; ${formatBytes(free)} are free${back}.${onCard(card)}`;
  const stop = wouldStop.length === 0 ? '' : renderTable(columns, wouldStop, options);
  const rest = paused ? 'Nothing is started until the memory of the machine is no longer short.\n' : '';
  const verdict = verdicts[fits](way, wouldStop.length > 0);
  return `${sums} ${verdict}\n${stop}${obstacles(outlook.fits, blockedBy, options)}${rest}`;
}

function onCard(card: ApiOutlook['card']): string {
  if (!card) return '';
  const { device, need, free, coming, limit } = card;
  const back = coming > 0 ? `, ${formatBytes(coming)} are coming back` : '';
  return ` On ${device} it needs ${formatBytes(need)}; ${formatBytes(free)} of ${formatBytes(limit)} are free${back}.`;
}

type Way = 'start' | 'thaw';
const verdicts: Readonly<Record<ApiOutlook['fits'], (way: Way, some: boolean) => string>> = {
  now: (way) => `It would ${way} at once.`,
  'after-stops': (way) => `It would ${way} as soon as they are back.`,
  'after-evictions': () => 'These would make room:',
  'when-idle': (_, some) =>
    some ? 'It would wait for others; these would make room once they can:' : 'It would wait for others.',
  never: (way) => `It cannot ${way}: what is left of the limit is too little for it.`,
};

type Blocker = ApiOutlook['blockedBy'][number];
const blockerColumns: readonly Column<Blocker>[] = [
  { title: 'UNIT', value: ({ unit }) => nameOf(unit) },
  { title: 'BYTES', align: 'right', value: ({ bytes }) => formatBytes(bytes) },
  {
    title: 'WHY',
    value: ({ why, forMs }) => `${sentences[why] ?? why}${forMs === null ? '' : ` (${formatDuration(forMs)} more)`}`,
  },
];
const sentences: Readonly<Record<string, string>> = {
  core: 'core, always on',
  pinned: 'pinned',
  busy: 'busy',
  connected: 'has open connections, which a stop would cut',
  'waited-for': 'somebody waits for it',
  'just-started': 'has just started',
  ahead: 'waited too long: nobody overtakes it',
};

function obstacles(fits: ApiOutlook['fits'], blockedBy: readonly Blocker[], options: TableOptions): string {
  if (blockedBy.length === 0) return '';
  const head = fits === 'never' ? 'Held for good by:' : 'In the way now:';
  return `${head}\n${renderTable(blockerColumns, blockedBy, options)}`;
}
