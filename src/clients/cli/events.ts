import type { ApiEvent } from '#contracts/api';
import { defineCommand } from './command.ts';
import { printable } from './style.ts';

export const events = defineCommand({
  arguments: '',
  about:
    'Follows what happens until Ctrl-C: what wakes, what sleeps, what is evicted and why. With --json every event is one\n' +
    'line of JSON, the whole state first.',
  options: {},
  examples: ['sutaz events', 'sutaz events --json | jq \'select(.event == "log").data.message\''],
  async run(_values, _words, context) {
    const client = await context.connect();
    for await (const item of client.events('GET', '/sutaz/v1/events', { signal: context.interrupt() })) {
      if (item.kind === 'comment') continue;
      if (context.json) context.printJson({ event: item.event, data: JSON.parse(item.data) as unknown });
      else if (item.event === 'log') context.out(`${eventLine(JSON.parse(item.data) as ApiEvent)}\n`);
      await context.drained();
    }
    context.err('The platform has ended the stream.\n');
  },
});

/** The time is the reader's own. */
export function eventLine({ at, type, unit, message }: ApiEvent): string {
  const date = new Date(at);
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0'));
  return printable(`${time.join(':')}  ${type.padEnd(10)}  ${unit ? `${unit}: ` : ''}${message}`);
}
