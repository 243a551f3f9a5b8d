import { defineCommand } from './command.ts';

export const version = defineCommand({
  arguments: '',
  about: 'Prints the version of this program and of the Node it runs on.',
  options: {},
  examples: ['sutaz version'],
  async run(_values, _words, { composition, json, out, printJson }) {
    if (json) printJson({ version: composition.version, node: process.version });
    else out(`sutaz ${composition.version} (Node ${process.version})\n`);
  },
});
