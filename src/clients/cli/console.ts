import { defineCommand } from './command.ts';

export const consoleLink = defineCommand({
  arguments: '',
  about: 'Prints a new link that opens the console in a browser. It works once, and only for a while.',
  options: {},
  examples: ['sutaz console', 'xdg-open "$(sutaz console)"'],
  async run(_values, _words, context) {
    const client = await context.connect();
    const link = await client.createConsoleLink();
    if (context.json) context.printJson(link);
    else context.out(`${link.url}\n`);
  },
});
