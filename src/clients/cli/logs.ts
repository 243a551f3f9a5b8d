import { defineCommand } from './command.ts';
import { usageError } from './failure.ts';
import { colouredOnly } from './style.ts';

export const logs = defineCommand({
  arguments: 'NAME',
  about:
    'Shows the last lines that a service or a model wrote, and with --follow those to come, until Ctrl-C. Of one that\n' +
    'runs in several instances it shows those of each, with its name before every line; chroma~2 is one of them.',
  options: {
    follow: { type: 'boolean', short: 'f', help: 'Go on with what it says from now' },
    lines: { type: 'string', short: 'n', value: 'N', help: 'How many of the last lines (otherwise 100)' },
  },
  examples: ['sutaz logs chroma', 'sutaz logs -f -n 20 node-red', 'sutaz logs chroma~2'],
  async run(values, [name = ''], context) {
    const count = values.lines ?? '100';
    if (!/^\d{1,6}$/.test(count)) throw usageError(`--lines ${count} is not a number of lines.`);
    const client = await context.connect();
    const lines = values.follow
      ? client.readLogs(name, { lines: Number(count), follow: true }, { signal: context.interrupt() })
      : client.readLogs(name, { lines: Number(count) });
    let isEmpty = true;
    for await (const line of lines) {
      isEmpty = false;
      if (context.json) context.printJson({ line });
      else context.out(`${context.outTty ? colouredOnly(line) : line}\n`);
      await context.drained();
    }
    if (isEmpty && !context.json) context.err(`${name} has written nothing yet.\n`);
  },
});
