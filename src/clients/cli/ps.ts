import type { ApiDevice, ApiLedger, ApiState, ApiUnit, ApiUnitState } from '#contracts/api';
import type { ApiShared } from '#contracts/map-api';
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
  examples: [
    'sutaz ps',
    'sutaz ps --all',
    'sutaz ps --json | jq \'.units[] | select(.state == "ready") | .id\'',
    "sutaz ps --json | jq '.units[] | { id, confined: .instance.confined }'",
  ],
  async run(values, _words, context) {
    const client = await context.connect();
    // A platform of an earlier release knows no map: what it shows of the rest is worth having.
    const map = client.readMap().catch(() => null);
    const state = await client.readState();
    const shared = (await map)?.shared ?? [];
    if (context.json)
      return context.printJson({ ...state, ...(!values.all && { units: state.units.filter(isOfInterest) }), shared });
    const paint = painter(context.outTty, context.env);
    const width = context.outTty ? context.columns() : Infinity;
    context.out(renderPs(state, { all: values.all ?? false, width, paint, shared }));
  },
});

/** A cold unit without a learned size has never run, and one that cannot run here never will. */
export const isOfInterest = ({ state, pinned, bytes, waiters, failure }: ApiUnit): boolean =>
  !(state === 'cold' || state === 'disabled') || pinned || bytes.learned !== null || waiters > 0 || failure !== null;

export interface PsOptions {
  readonly all: boolean;
  readonly width: number;
  readonly paint: Paint;
  readonly shared?: readonly ApiShared[];
}

export function renderPs({ ledger, units, platform }: ApiState, { all, width, paint, shared = [] }: PsOptions): string {
  const shown = units.filter((unit) => all || isOfInterest(unit)).sort(byWakefulness);
  const hidden = units.filter((unit) => !shown.includes(unit));
  const shows = (ledger.devices ?? []).length > 0 ? columns : columns.filter(({ title }) => title !== 'VRAM');
  const table = shown.length === 0 ? '' : `\n${renderTable(shows, shown, { width, paint })}`;
  const rest = hidden.length === 0 ? '' : `\n${paint('dim', hiddenLine(hidden))}\n`;
  const cards = (ledger.devices ?? []).map((device) => `${deviceLine(device)}\n`).join('');
  const issuers = (platform.issuers ?? []).map(({ issuer, problem }) => {
    return `${paint('red', `Issuer ${issuer}: ${problem}`)} (sutaz doctor)\n`;
  });
  return `${ledgerLine(ledger)}\n${issuers.join('')}${cards}${threadsLine(ledger)}${sparedLine(shared)}${table}${rest}`;
}

function hiddenLine(hidden: readonly ApiUnit[]): string {
  const unable = hidden.filter(({ state }) => state === 'disabled').length;
  const here = unable === 0 ? '' : `, ${unable} of them unable to run here`;
  return `${hidden.length} more, never used${here}: sutaz ps --all`;
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

/** Told where several are awake on one provider that each would else have its own of. */
function sparedLine(shared: readonly ApiShared[]): string {
  const several = shared.filter(({ users }) => users.length > 1);
  if (several.length === 0) return '';
  const bytes = several.reduce((sum, { sparedBytes }) => sum + sparedBytes, 0);
  const names = several.map(({ provider, users }) => `${provider.slice(provider.indexOf('/') + 1)} by ${users.length}`);
  return `Shared: ${names.join(', ')}; ${formatBytes(bytes)} spared (sutaz map)\n`;
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
