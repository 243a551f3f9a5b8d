import { sleep } from '#kernel/abort';
import { formatDuration, parseDuration } from '#kernel/quantities';
import { isRunning, readPlatformFile } from '../home.ts';
import { defineCommand } from './command.ts';
import { CliFailure, exitCodes, usageError } from './failure.ts';
import { progressLine } from './progress.ts';

export const down = defineCommand({
  arguments: '',
  about:
    'Stops the platform: what works may finish, every service and model is stopped, and nothing is left behind.\n' +
    'Returns when it has ended.',
  options: {
    timeout: { type: 'string', value: 'TIME', help: 'How long to wait for its end (otherwise 2m)' },
  },
  examples: ['sutaz down', 'sutaz down --timeout 10m'],
  async run(values, _words, context) {
    const { clock, home } = context;
    const patience = parseDuration(values.timeout ?? '2m');
    if (patience === null) throw usageError(`--timeout ${values.timeout} is not a time. Write it as 30s or 10m.`);
    const client = await context.connect();
    const file = await readPlatformFile(home);
    const pid = file?.pid;
    await client.shutDown();
    const signal = context.interrupt();
    const line = progressLine(context, clock);
    const begun = clock.now();
    try {
      while (file && isRunning(file)) {
        const waited = clock.now() - begun;
        if (waited > patience) {
          const message = `It is still stopping after ${formatDuration(waited)} (process ${pid}); it goes on by itself.`;
          throw new CliFailure(exitCodes.failed, message, { pid });
        }
        line.show(`Stopping ${'.'.repeat(1 + Math.floor(waited / 500))}`, 'Stopping');
        await sleep(clock, 50, signal);
      }
    } finally {
      line.clear();
    }
    if (context.json) context.printJson({ stopped: true, home: home.root, pid });
    else context.out('SutazAI has stopped.\n');
  },
});
