import type { ApiModel, ApiModelDetails } from '#contracts/api';
import { formatBytes } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';

const columns: readonly Column<ApiModel>[] = [
  { title: 'NAME', value: ({ id }) => id },
  { title: 'STATE', value: ({ pulled, state }) => (pulled || state !== 'cold' ? state : 'not pulled') },
  { title: 'FILE', align: 'right', value: ({ pulled, sizeBytes }) => formatBytes(pulled?.bytes ?? sizeBytes) },
  { title: 'MEMORY', align: 'right', value: ({ plan }) => (plan ? formatBytes(plan.total) : '-') },
  { title: 'CONTEXT', align: 'right', value: ({ context, slots }) => `${context}${slots > 1 ? ` x ${slots}` : ''}` },
  { title: 'ALIASES', value: ({ aliases }) => aliases.join(', ') },
  { title: 'SUMMARY', value: ({ summary }) => summary },
];

export const modelsLs = defineCommand({
  arguments: '',
  about:
    'Lists the models of the catalogue: their file, what they take in memory once loaded (known from the file once it\n' +
    'was pulled), the tokens of their context and how many requests they generate at once.',
  options: {},
  examples: ['sutaz models ls'],
  async run(_values, _words, context) {
    const client = await context.connect();
    const list = await client.listModels();
    if (context.json) return context.printJson(list);
    const width = context.outTty ? context.columns() : Infinity;
    context.out(renderTable(columns, list.models, { width, paint: painter(context.outTty, context.env) }));
  },
});

export const modelsShow = defineCommand({
  arguments: 'MODEL',
  about:
    'Shows a model: its file and where it came from, what it will take in memory and for what, how far that was off from\n' +
    'what was measured, the longest context that fits, and its header.',
  options: {},
  examples: ['sutaz models show smollm2:135m'],
  async run(_values, [name = ''], context) {
    const client = await context.connect();
    const model = await client.readModel(name);
    if (context.json) context.printJson(model);
    else context.out(renderModel(model));
  },
});

export function renderModel(model: ApiModelDetails): string {
  const { pulled, plan, header } = model;
  const rows: [string, string][] = [
    ['name', `${model.name} (${model.id})`],
    ['summary', model.summary],
    ...(model.aliases.length > 0 ? [['aliases', model.aliases.join(', ')] as [string, string]] : []),
    ['state', model.state],
    ['engine', model.engine],
    ['context', `${model.context} tokens, ${model.slots} at once`],
    [
      'file',
      pulled ? `${formatBytes(pulled.bytes)}, ${pulled.path}` : `not pulled, about ${formatBytes(model.sizeBytes)}`,
    ],
    ...(pulled
      ? ([
          ['sha256', pulled.sha256],
          ['source', `${pulled.source}, ${pulled.pulledAt}`],
        ] as [string, string][])
      : []),
    ...(plan ? [['memory', planText(plan)] as [string, string]] : []),
    ...(model.card ? [['card', cardText(model.card)] as [string, string]] : []),
    ...memoryRows(model),
    ...Object.entries(header ?? {}).map(([key, value]): [string, string] => [key, String(value ?? '-')]),
  ];
  const width = Math.max(...rows.map(([key]) => key.length));
  return rows.map(([key, value]) => `${key.padEnd(width)}  ${value}\n`).join('');
}

const cardText = ({ device, layers, vramBytes, ramBytes }: NonNullable<ApiModel['card']>): string =>
  `${layers} layers on ${device}: ${formatBytes(vramBytes)} there${ramBytes === null ? '' : ` and ${formatBytes(ramBytes)} in main memory`}`;

function memoryRows({ estimate, fit, versions, context }: ApiModelDetails): [string, string][] {
  const rows: [string, string][] = [];
  if (estimate?.measuredBytes && estimate.errorPercent !== null) {
    const off = `${estimate.errorPercent > 0 ? '+' : ''}${estimate.errorPercent} %`;
    rows.push(['measured', `${formatBytes(estimate.measuredBytes)} at most; the plan is off by ${off}`]);
  }
  if (fit) {
    const within = `of the ${formatBytes(fit.limitBytes)} that all may take`;
    const most = fit.context === null ? 'no context fits' : `${fit.context} tokens are the longest context that fits`;
    rows.push([fit.context !== null && fit.context >= context ? 'fits' : 'too large', `${most}, ${within}`]);
  }
  const damage = versions.find(({ present }) => present)?.damage;
  if (damage) rows.push(['damaged', `${damage}; a pull fetches it again`]);
  if (versions.length > 1) rows.push(['versions', `${versions.length}, see \`sutaz models versions\``]);
  return rows;
}

const planText = ({ weights, kv, compute, overhead, total }: NonNullable<ApiModel['plan']>): string =>
  `${formatBytes(total)} = ${formatBytes(weights)} weights + ${formatBytes(kv)} KV cache + ` +
  `${formatBytes(compute)} compute + ${formatBytes(overhead)} overhead`;

export const modelsRm = defineCommand({
  arguments: 'MODEL',
  about:
    "Removes a model's files from the store. Its definition stays: the next use fetches it again. A loaded one is kept.\n" +
    'NAME@sha256:DIGITS removes one earlier version.',
  options: {},
  examples: ['sutaz models rm gemma3:270m', 'sutaz models rm gemma3:270m@sha256:a5fd3b62230a'],
  async run(_values, [name = ''], context) {
    const client = await context.connect();
    await client.removeModel(name);
    if (context.json) context.printJson({ removed: name });
    else context.out(`The file of ${name} is removed.\n`);
  },
});
