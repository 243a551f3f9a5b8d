import type { ApiRestarted } from '#contracts/api';
import { defineCommand } from './command.ts';
import { progressLine } from './progress.ts';

/** Longer than the platform waits for what must not be interrupted, and for the next process to start. */
const patienceMs = 180_000;

export const restart = defineCommand({
  arguments: '',
  about:
    'Replaces the running platform by the program as it is installed now, for instance after an update. Services and models\n' +
    'stay awake, no connection is refused and no answer is cut: what is under way ends in the old process.\n' +
    'Where the next one cannot start, or the configuration has a mistake, the old one goes on.',
  options: {},
  examples: ['sutaz restart', 'sutaz restart --json'],
  async run(_values, _words, context) {
    const client = await context.connect();
    const line = progressLine(context, context.clock);
    line.show('Restarting ...', 'Restarting');
    let next: ApiRestarted;
    try {
      next = await client.json<ApiRestarted>('POST', '/sutaz/v1/restart', { timeoutMs: patienceMs });
    } finally {
      line.clear();
    }
    if (context.json) context.printJson(next);
    else context.out(`SutazAI goes on at ${next.url} (process ${String(next.pid)}).\n`);
  },
});
