import type { ApiJob } from '#contracts/jobs-api';
import { formatBytes } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { followRun, tellEnd } from './run.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';

const endOf = ({ state, end }: ApiJob): string => {
  if (!end) return state;
  return end.reason === 'exited' ? `exit ${end.code ?? end.signal}` : end.reason;
};

const columns: readonly Column<ApiJob>[] = [
  { title: 'ID', value: ({ id }) => id },
  {
    title: 'STATE',
    value: endOf,
    colour: ({ end }) => (end && !(end.reason === 'exited' && end.code === 0) ? 'red' : undefined),
  },
  { title: 'SINCE', value: ({ createdAt }) => createdAt.slice(0, 19).replace('T', ' ') },
  { title: 'PEAK', align: 'right', value: ({ bytes }) => (bytes.peak === null ? '-' : formatBytes(bytes.peak)) },
  { title: 'FOLDER', value: ({ folder }) => folder.path },
  { title: 'ARGUMENTS', value: ({ args }) => args.join(' ') },
];

export const jobsLs = defineCommand({
  arguments: '',
  about: 'Lists the runs of tools, the newest first: those that have not ended, and the last 50 that have.',
  options: {},
  examples: ['sutaz jobs ls'],
  async run(_values, _words, context) {
    const client = await context.connect();
    const list = await client.listJobs();
    if (context.json) return context.printJson(list);
    if (list.jobs.length === 0) return context.out('Nothing was run yet: `sutaz run TOOL` does.\n');
    const width = context.outTty ? context.columns() : Infinity;
    context.out(renderTable(columns, list.jobs, { width, paint: painter(context.outTty, context.env) }));
  },
});

export const jobsOutput = defineCommand({
  arguments: 'ID',
  about:
    'Shows what a run wrote, and goes on until it has ended; its exit code is passed on. Ctrl-C ends only the showing.',
  options: {},
  examples: ['sutaz jobs output aider.3f9c02ab'],
  async run(_values, [id = ''], context) {
    const client = await context.connect();
    return tellEnd(await followRun(id, client, context, null), context);
  },
});

export const jobsCancel = defineCommand({
  arguments: 'ID',
  about: 'Calls a run off: it is asked to end, and killed with all it started when it does not.',
  options: {},
  examples: ['sutaz jobs cancel aider.3f9c02ab'],
  async run(_values, [id = ''], context) {
    const client = await context.connect();
    const job = await client.cancelJob(id);
    if (context.json) context.printJson(job);
    else context.out(`${id} is ${job.end ? 'over: it had ended' : 'being ended'}.\n`);
  },
});
