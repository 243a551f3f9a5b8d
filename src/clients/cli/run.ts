import { constants } from 'node:os';
import { resolve } from 'node:path';
import type { ApiJob, ApiJobAsk, ApiJobEndReason } from '#contracts/jobs-api';
import { Fault } from '#kernel/faults';
import { defineCommand } from './command.ts';
import type { Connection, Context } from './context.ts';
import { exitCodes } from './failure.ts';

/** As `timeout` and shells have them, so that a script need not know who ended it. */
const codeOfEnd: Readonly<Record<ApiJobEndReason, number>> = {
  ...{ exited: exitCodes.failed, failed: exitCodes.failed, output: exitCodes.failed, interrupted: exitCodes.failed },
  ...{ cancelled: exitCodes.interrupted, shutdown: exitCodes.interrupted, time: 124, memory: 137 },
};

export const run = defineCommand({
  arguments: 'TOOL [ARGS...]',
  passesOn: true,
  about:
    'Runs a command-line tool of the catalogue. Everything after its name is handed to it; options of this command come\n' +
    'before. It works in the folder that --folder names (or the option its definition has for that, as --repo of aider), in\n' +
    'place unless --copy is given, and without either in an empty folder of its own. What it writes is shown as it comes, its\n' +
    'exit code is passed on, Ctrl-C ends it with all it started. It asks models through the door, with a key that is good for\n' +
    'this run only. Exit code 124: over its time; 137: over its memory.',
  options: {
    folder: { type: 'string', value: 'DIR', help: 'The folder to work in' },
    copy: { type: 'boolean', help: 'Work on a copy of that folder, and leave it as it is' },
    model: { type: 'string', value: 'NAME', help: 'The model it is to ask (otherwise the default one)' },
    time: { type: 'string', value: 'TIME', help: 'How long it may take: 10m (otherwise what its definition says)' },
    memory: { type: 'string', value: 'SIZE', help: 'What it may weigh: 1GiB (otherwise what its definition says)' },
    detach: { type: 'boolean', short: 'd', help: 'Print its id and leave it running' },
  },
  examples: [
    'sutaz run aider --repo . --message "Add a licence header" main.py',
    'git diff | sutaz run shell-gpt "Write a commit message"',
    'sutaz run --copy --folder . --time 10m aider --message "Rename foo to bar" foo.py',
  ],
  async run({ folder, copy, model, time, memory, detach }, [tool = '', ...args], context) {
    const client = await context.connect();
    const stdin = context.inTty ? '' : await context.readInput();
    const ask: ApiJobAsk = {
      ...{ tool, args, cwd: context.cwd },
      ...(folder === undefined ? {} : { folder: resolve(context.cwd, folder) }),
      ...(copy ? { copy } : {}),
      ...(model === undefined ? {} : { model }),
      ...(time === undefined ? {} : { timeLimit: time }),
      ...(memory === undefined ? {} : { memoryLimit: memory }),
      ...(stdin === '' ? {} : { stdin }),
    };
    const job = await client.startJob(ask);
    if (detach) return context.json ? context.printJson(job) : context.out(`${job.id}\n`);
    const ended = await followRun(job.id, client, context, context.interrupt());
    if (ended.folder.kind !== 'place' && !context.json) context.err(whereItWorked(ended));
    return tellEnd(ended, context);
  },
});

const whereItWorked = ({ folder }: ApiJob): string =>
  folder.kind === 'copy' ? `It worked on a copy: ${folder.path}\n` : '';

/** Shows what a run writes until it has ended; the signal calls it off. */
export async function followRun(
  id: string,
  client: Connection,
  context: Context,
  interrupt: AbortSignal | null,
): Promise<ApiJob> {
  // A run that cannot be called off any more has ended, which its output tells.
  const cancel = () => void client.cancelJob(id).catch(() => undefined);
  interrupt?.addEventListener('abort', cancel, { once: true });
  if (interrupt?.aborted) cancel();
  let told = '';
  try {
    for await (const { event, data } of client.readJobOutput(id)) {
      if (event === 'done') return data;
      if (context.json) context.printJson({ event, ...data });
      else if (event === 'output') (data.stream === 'stdout' ? context.out : context.err)(data.text);
      else if (context.errTty && data.what !== undefined && data.what !== told)
        context.err(`${data.phase}: ${data.what}\n`);
      if (event === 'progress') told = data.what ?? '';
      await context.drained();
    }
  } finally {
    interrupt?.removeEventListener('abort', cancel);
  }
  throw new Fault('UPSTREAM_FAILED', `The platform ended before the run ${id} did.`);
}

/** The exit code of a run; what is not the tool's own doing is said. */
export function tellEnd(job: ApiJob, context: Context): number {
  const { end } = job;
  if (context.json) context.printJson({ event: 'done', ...job });
  if (!end) return exitCodes.failed;
  if (end.reason !== 'exited') {
    if (!context.json) context.err(`sutaz: ${job.tool}: ${end.message}\n`);
    return codeOfEnd[end.reason];
  }
  return end.code ?? 128 + (constants.signals[end.signal as NodeJS.Signals] ?? 0);
}
