import type { ApiModelVersion } from '#contracts/store-api';
import { formatBytes } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';

const stateOf = ({ present, here, damage }: ApiModelVersion): string => {
  if (damage !== null) return 'damaged';
  return present ? 'present' : here ? 'kept' : 'gone';
};

const columns: readonly Column<ApiModelVersion>[] = [
  { title: 'VERSION', value: ({ sha256 }) => `sha256:${sha256.slice(0, 12)}` },
  { title: 'STATE', value: stateOf, colour: (version) => (stateOf(version) === 'damaged' ? 'red' : undefined) },
  { title: 'FILE', align: 'right', value: ({ bytes }) => formatBytes(bytes) },
  { title: 'PULLED', value: ({ pulledAt }) => pulledAt.slice(0, 16).replace('T', ' ') },
  { title: 'SOURCE', value: ({ source }) => source },
];

export const modelsVersions = defineCommand({
  arguments: 'MODEL',
  about:
    'Lists the files a model has stood for, newest first. The present one and the one before are kept (models.versions in\n' +
    'sutaz.yaml); of the others only the line is left.',
  options: {},
  examples: ['sutaz models versions smollm2:135m'],
  async run(_values, [name = ''], context) {
    const client = await context.connect();
    const list = await client.listVersions(name);
    if (context.json) return context.printJson(list);
    const width = context.outTty ? context.columns() : Infinity;
    context.out(renderTable(columns, list.versions, { width, paint: painter(context.outTty, context.env) }));
    if (list.held)
      context.out(`It is held there. \`sutaz models pull ${list.id}\` goes on to what its sources have.\n`);
  },
});

export const modelsRollback = defineCommand({
  arguments: 'MODEL [VERSION]',
  about:
    'Makes an earlier version of a model the present one: the one before, or the one whose digest begins as said. It stays\n' +
    'there, whatever the definition promises, until the model is pulled by hand. A loaded one goes on with its file until\n' +
    'it is stopped.',
  options: {},
  examples: ['sutaz models rollback smollm2:135m', 'sutaz models rollback smollm2:135m sha256:b179c9523d0e'],
  async run(_values, [name = '', version], context) {
    const client = await context.connect();
    const body = version === undefined ? {} : { digest: version };
    const model = await client.rollBackModel(name, body);
    if (context.json) return context.printJson(model);
    const loaded = model.state === 'cold' ? '' : ` It is ${model.state}: stop it to have it loaded anew.`;
    context.out(`${model.id} is at sha256:${model.pulled?.sha256.slice(0, 12)} now.${loaded}\n`);
  },
});
