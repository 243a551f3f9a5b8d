import type { ApiEnvironment, ApiPruned } from '#contracts/environments-api';
import { formatBytes } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';

/** Milliseconds: a home with half a million files is looked at for minutes, and its caches are cleaned for longer. */
const patienceMs = 30 * 60_000;

export const envLs = defineCommand({
  arguments: '',
  about:
    'Lists the environments of Python and Node packages that services run from: what each weighs on disk, how much of that\n' +
    'others or the cache hold too, and the services that run from it. Each is weighed once, which takes seconds for a large one.',
  options: {},
  examples: ['sutaz env ls', "sutaz env ls --json | jq '.environments[] | select(.users == [])'"],
  async run(_values, _words, context) {
    const client = await context.connect();
    const told = await client.listEnvironments({}, { timeoutMs: patienceMs });
    if (context.json) return context.printJson(told);
    if (told.environments.length === 0)
      return context.out('None yet: a service has its own made when it first starts.\n');
    const width = context.outTty ? context.columns() : Infinity;
    const rows = [...told.environments].sort((a, b) => b.bytes - a.bytes);
    context.out(renderTable(columns, rows, { width, paint: painter(context.outTty, context.env) }));
    const apart = rows.reduce((sum, { bytes }) => sum + bytes, 0);
    context.out(`\n${formatBytes(told.bytes)} on disk; without sharing it would be ${formatBytes(apart)}.\n`);
  },
});

const columns: readonly Column<ApiEnvironment>[] = [
  { title: 'ID', value: ({ id }) => id },
  { title: 'SIZE', align: 'right', value: ({ bytes }) => formatBytes(bytes) },
  { title: 'SHARED', align: 'right', value: ({ sharedBytes }) => formatBytes(sharedBytes) },
  { title: 'USERS', value: ({ users }) => users.join(', ') || '-' },
  { title: 'AWAKE', value: ({ instances }) => (instances.length === 0 ? '-' : String(instances.length)) },
  { title: 'PACKAGES', value: ({ packages }) => packages.join(' ') },
];

export const envPrune = defineCommand({
  arguments: '',
  about:
    'Removes the environments that no definition and no instance runs from, what broken builds left, and from the caches the\n' +
    'packages that then nothing holds. What was used since the platform started stays until it starts again.',
  options: { 'dry-run': { type: 'boolean', help: 'Only say what would go' } },
  examples: ['sutaz env prune --dry-run', 'sutaz env prune'],
  async run({ 'dry-run': dryRun = false }, _words, context) {
    const client = await context.connect();
    const told = await client.pruneEnvironments({ dryRun }, { timeoutMs: patienceMs });
    if (context.json) return context.printJson(told);
    context.out(renderPruned(told));
  },
});

function renderPruned({ dryRun, removed, freed }: ApiPruned): string {
  const verb = dryRun ? 'would remove' : 'removed';
  const lines = removed.map(
    ({ id, packages }) => `${verb} ${id} (${packages.join(' ') || 'left by a broken build'})\n`,
  );
  const nothing = removed.length === 0 ? 'No environment is without a user.\n' : '';
  if (dryRun) return `${lines.join('')}${nothing || `At least ${formatBytes(freed)} would be free.\n`}`;
  return `${lines.join('')}${nothing}${formatBytes(freed)} given back.\n`;
}
