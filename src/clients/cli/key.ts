import { readKey } from '../home.ts';
import { defineCommand } from './command.ts';

export const key = defineCommand({
  arguments: '',
  about: 'Prints the key of the owner of this home, and nothing else. The platform need not run.',
  options: {},
  examples: ['curl localhost:8080/v1/models -H "Authorization: Bearer $(sutaz key)"'],
  async run(_values, _words, context) {
    const text = await readKey(context.home);
    if (context.json) context.printJson({ key: text, keyFile: context.home.keyFile });
    else context.out(`${text}\n`);
  },
});
