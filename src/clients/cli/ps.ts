import type { ApiDevice, ApiLedger, ApiState, ApiUnit, ApiUnitState } from '#contracts/api';
import { formatBytes, formatDuration } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { painter } from './style.ts';
import type { Colour, Paint } from './style.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';
import { reason } from './units.ts';

export const ps = defineCommand({
  arguments: '',
  about:
    'Shows every service and model that is awake, in trouble, pinned or was used before: its state, the bytes its\n' +
    'definition declares, those learned from earlier runs and those measured now, who holds it, and why it is so.',
  options: {
    all: { type: 'boolean', short: 'a', help: 'Also what was never used' },
  },
  examples: ['sutaz ps', 'sutaz ps --all', 'sutaz ps --json | jq \'.units[] | select(.state == "ready") | .id\''],
  async run(values, _words, context) {
    const client = await context.connect();
    const state = await client.readState();
    if (context.json)
      return context.printJson(values.all ? state : { ...state, units: state.units.filter(isOfInterest) });
    const paint = painter(context.outTty, context.env);
    context.out(
      renderPs(state, { all: values.all ?? false, width: context.outTty ? context.columns() : Infinity, paint }),
    );
  },
});

/** A cold unit without a learned size has never run. */
export const isOfInterest = ({ state, pinned, bytes, waiters, failure }: ApiUnit): boolean =>
  state !== 'cold' || pinned || bytes.learned !== null || waiters > 0 || failure !== null;

export interface PsOptions {
  readonly all: boolean;
  readonly width: number;
  readonly paint: Paint;
}

export function renderPs({ ledger, units }: ApiState, { all, width, paint }: PsOptions): string {
  const shown = units.filter((unit) => all || isOfInterest(unit)).sort(byWakefulness);
  const hidden = units.length - shown.length;
  const shows = (ledger.devices ?? []).length > 0 ? columns : columns.filter(({ title }) => title !== 'VRAM');
  const table = shown.length === 0 ? '' : `\n${renderTable(shows, shown, { width, paint })}`;
  const rest = hidden === 0 ? '' : `\n${paint('dim', `${hidden} more, never used: sutaz ps --all`)}\n`;
  const cards = (ledger.devices ?? []).map((device) => `${deviceLine(device)}\n`).join('');
  return `${ledgerLine(ledger)}\n${cards}${threadsLine(ledger)}${table}${rest}`;
}

/** One graphics card. */
const deviceLine = ({ id, name, reservedBytes, limitBytes, otherBytes, measuredBytes, freeBytes }: ApiDevice): string =>
  `Card ${id}: ${formatBytes(reservedBytes)} reserved of ${formatBytes(limitBytes)} (${name}, ${formatBytes(otherBytes)} ` +
  `held by other programs), ${measuredBytes === null ? 'use not told' : `${formatBytes(measuredBytes)} measured`}, ` +
  `${formatBytes(freeBytes)} free`;

/** Told while something computes. */
function threadsLine({ threads }: ApiLedger): string {
  if (!threads || threads.total === null || threads.busy === 0) return '';
  const waits = threads.waiting.length === 0 ? '' : `; ${threads.waiting.length} units wait for some`;
  return `Processor: ${threads.busy} threads busy on ${threads.total} cores${waits}\n`;
}

export const ledgerLine = ({ limitBytes, limitReason, reservedBytes, measuredBytes, freeBytes }: ApiLedger): string =>
  `Memory: ${formatBytes(reservedBytes)} reserved of ${formatBytes(limitBytes)} (${limitReason}), ` +
  `${formatBytes(measuredBytes)} measured, ${formatBytes(freeBytes)} free`;

const ranks: Readonly<Record<ApiUnitState, number>> = {
  ready: 0,
  thawing: 1,
  starting: 1,
  preparing: 1,
  queued: 2,
  stopping: 3,
  freezing: 3,
  frozen: 4,
  backoff: 5,
  quarantined: 5,
  disabled: 6,
  cold: 7,
};

const byWakefulness = (a: ApiUnit, b: ApiUnit): number =>
  ranks[a.state] - ranks[b.state] || b.bytes.reserved - a.bytes.reserved || a.name.localeCompare(b.name);

const colours: Readonly<Record<ApiUnitState, Colour>> = {
  ready: 'green',
  frozen: 'cyan',
  cold: 'dim',
  preparing: 'yellow',
  queued: 'yellow',
  starting: 'yellow',
  thawing: 'yellow',
  freezing: 'yellow',
  stopping: 'yellow',
  backoff: 'red',
  quarantined: 'red',
  disabled: 'red',
};

const bytesOrDash = (bytes: number | null): string => (bytes === null ? '-' : formatBytes(bytes));

const columns: readonly Column<ApiUnit>[] = [
  { title: 'NAME', value: ({ name }) => name },
  { title: 'STATE', value: (unit) => stateText(unit), colour: ({ state }) => colours[state] },
  { title: 'DECLARED', align: 'right', value: ({ bytes }) => formatBytes(bytes.declared) },
  { title: 'LEARNED', align: 'right', value: ({ bytes }) => bytesOrDash(bytes.learned) },
  { title: 'MEASURED', align: 'right', value: ({ bytes }) => bytesOrDash(bytes.measured) },
  { title: 'VRAM', align: 'right', value: ({ vram }) => (vram ? formatBytes(vram.charged || vram.next) : '-') },
  { title: 'LEASES', align: 'right', value: ({ leases, waiters }) => `${leases}${waiters > 0 ? ` +${waiters}` : ''}` },
  { title: 'IDLE', align: 'right', value: ({ idleMs }) => (idleMs === null ? '-' : formatDuration(idleMs)) },
  { title: 'WHY', value: (unit) => unit.failure?.message ?? reason(unit) },
];

function stateText({ state, pinned, progress }: ApiUnit): string {
  const percent = progress?.percent === undefined ? '' : ` ${Math.round(progress.percent)}%`;
  return `${state}${percent}${pinned ? ', pinned' : ''}`;
}
