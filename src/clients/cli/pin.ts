import { defineCommand } from './command.ts';

export const pin = defineCommand({
  arguments: 'NAME',
  about: 'Keeps a service or a model awake once it is: it is neither put to sleep when idle nor evicted for another.',
  options: {},
  examples: ['sutaz pin smollm2:135m'],
  async run(_values, [name = ''], context) {
    const client = await context.connect();
    const unit = await client.pinUnit(name);
    if (context.json) context.printJson(unit);
    else context.out(`${unit.name} is pinned (${unit.state}).\n`);
  },
});

export const unpin = defineCommand({
  arguments: 'NAME',
  about: 'Takes the pin away: it may sleep when idle, and be evicted, like any other.',
  options: {},
  examples: ['sutaz unpin smollm2:135m'],
  async run(_values, [name = ''], context) {
    const client = await context.connect();
    const unit = await client.unpinUnit(name);
    if (context.json) context.printJson(unit);
    else context.out(`${unit.name} is no longer pinned (${unit.state}).\n`);
  },
});
