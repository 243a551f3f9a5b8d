import { defineCommand } from './command.ts';
import { finished } from '../sdk.ts';
import { formatWake, progressLine } from './progress.ts';

export const move = defineCommand({
  arguments: 'NAME WAY',
  about:
    'Has a service run by another way that its definition offers, process or docker, with its data: what that needs is\n' +
    'fetched, the service is stopped and started anew, and from then on runs so. When it does not become well, it runs as\n' +
    'before. Two ways of different versions may not understand the same data: keep a copy of what you cannot lose.',
  options: {
    force: { type: 'boolean', help: 'Although it is busy: what it works on is lost' },
  },
  examples: ['sutaz move chroma docker', 'sutaz move chroma process'],
  async run(values, [name = '', to = ''], context) {
    const client = await context.connect();
    const line = progressLine(context, context.clock);
    const ask = { to, wait: true, ...(values.force && { force: true }) } as const;
    try {
      const events = client.moveUnit(name, ask, { signal: context.interrupt() });
      const unit = await finished(events, (progress) => line.show(formatWake(name, progress), progress.phase));
      line.clear();
      if (context.json) return context.printJson(unit);
      context.out(`${unit.name} runs by ${unit.instance?.way ?? to} (${unit.state}).\n`);
    } finally {
      line.clear();
    }
  },
});
