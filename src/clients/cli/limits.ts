import type { ApiLimit, ApiLimits, ApiQuota, ApiQuotaUse } from '#contracts/limits-api';
import { formatBytes, formatDuration } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column, TableOptions } from './table.ts';

export const limits = defineCommand({
  arguments: '',
  about:
    'Shows the limits of sutaz.yaml (limits.rules) with what is used of each, by whom, and when all of it is there again.\n' +
    'What is reserved for requests under way counts as used. A limit that matches nothing says so.',
  options: {},
  examples: ['sutaz limits', "sutaz limits --json | jq '.limits[].accounts'"],
  async run(_values, _words, context) {
    const client = await context.connect();
    const told = await client.json<ApiLimits>('GET', '/sutaz/v1/limits');
    if (context.json) return context.printJson(told);
    const width = context.outTty ? context.columns() : Infinity;
    context.out(renderLimits(told, { width, paint: painter(context.outTty, context.env) }));
  },
});

interface Row {
  readonly limit: ApiLimit;
  readonly subject: string;
  readonly quota: ApiQuota & Partial<ApiQuotaUse>;
}

const amount = ({ kind }: ApiQuota, value: number): string => (kind === 'bytes' ? formatBytes(value) : String(value));

function allowed(quota: ApiQuota): string {
  if (quota.per === null) return `${quota.limit} at once`;
  // A size says by itself what it is of.
  return `${amount(quota, quota.limit)}${quota.kind === 'bytes' ? '' : ` ${quota.kind}`}/${quota.per}`;
}

const columns: readonly Column<Row>[] = [
  { title: 'LIMIT', value: ({ limit }) => limit.name },
  { title: 'FOR', value: ({ limit }) => aboutOf(limit) },
  { title: 'ACCOUNT', value: ({ subject }) => subject },
  { title: 'ALLOWS', value: ({ quota }) => allowed(quota) },
  { title: 'USED', align: 'right', value: ({ quota }) => amount(quota, quota.used ?? 0) },
  { title: 'LEFT', align: 'right', value: ({ quota }) => amount(quota, quota.left ?? quota.limit) },
  { title: 'ALL BACK IN', align: 'right', value: ({ quota }) => (quota.resetMs ? formatDuration(quota.resetMs) : '') },
];

function aboutOf({ for: about, each }: ApiLimit): string {
  const parts = Object.entries(about).map(([what, patterns]) => `${what} ${patterns.join(', ')}`);
  return [parts.join(' and ') || 'everything', ...(each.length === 0 ? [] : [`each ${each.join(' and ')}`])].join(', ');
}

export function renderLimits({ limits: all }: ApiLimits, options: TableOptions): string {
  if (all.length === 0) return 'Nothing is limited. Rules stand under limits.rules in sutaz.yaml.\n';
  const rows = all.flatMap((limit): Row[] =>
    limit.accounts.length === 0
      ? limit.quotas.map((quota) => ({ limit, subject: '', quota }))
      : limit.accounts.flatMap(({ subject, quotas }) =>
          quotas.map((quota) => ({ limit, subject: subject || 'all together', quota })),
        ),
  );
  const warnings = all.flatMap(({ name, warnings: told }) => told.map((one) => `${name}: ${one}\n`));
  const told = warnings.length === 0 ? '' : `\n${options.paint('yellow', warnings.join('').trimEnd())}\n`;
  return renderTable(columns, rows, options) + told;
}
