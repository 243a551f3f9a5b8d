import type { ApiUnit } from '#contracts/api';
import { defineCommand } from './command.ts';
import { formatWake, progressLine } from './progress.ts';
import { finished } from '../sdk.ts';
import { stateLine } from './units.ts';

export const start = defineCommand({
  arguments: 'NAME',
  about:
    'Wakes a service or loads a model, and returns when it is ready. Asking for it does the same: this is for doing it\n' +
    'beforehand. Ctrl-C leaves it to go on by itself; `sutaz stop` calls it off.',
  options: {
    'no-wait': { type: 'boolean', help: 'Return at once' },
  },
  examples: ['sutaz start chroma', 'sutaz start smollm2:135m --no-wait'],
  async run(values, [name = ''], context) {
    const client = await context.connect();
    const unit = values['no-wait'] ? await client.startUnit(name) : await wait();
    if (context.json) context.printJson(unit);
    else context.out(stateLine(unit));

    async function wait(): Promise<ApiUnit> {
      const line = progressLine(context, context.clock);
      const events = client.startUnit(name, { wait: true }, { signal: context.interrupt() });
      try {
        return await finished(events, (progress) => line.show(formatWake(name, progress), progress.phase));
      } finally {
        line.clear();
      }
    }
  },
});
