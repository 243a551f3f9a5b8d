import { defineCommand } from './command.ts';
import { stateLine } from './units.ts';

export const stop = defineCommand({
  arguments: 'NAME',
  about:
    'Puts a service or a model to sleep, all of its instances, and gives its memory back. The next request for it wakes it\n' +
    'again. chroma~2 is one instance alone.',
  options: {
    force: { type: 'boolean', help: 'Although it is busy: what it works on is lost' },
  },
  examples: ['sutaz stop chroma', 'sutaz stop chroma --force'],
  async run({ force }, [name = ''], context) {
    const client = await context.connect();
    const unit = await client.stopUnit(name, force ? { force } : {});
    if (context.json) context.printJson(unit);
    else context.out(stateLine(unit));
  },
});
