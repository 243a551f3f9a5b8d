import type { ApiPulled, ApiPullProgress } from '#contracts/api';
import { formatBytes } from '#kernel/quantities';
import { defineCommand } from './command.ts';
import { createMeter, formatPull, progressLine } from './progress.ts';
import { finished } from '../sdk.ts';

export const modelsPull = defineCommand({
  arguments: 'MODEL',
  about:
    "Fetches a model's file from the first of its sources that has it, and verifies it. A pull that was interrupted goes\n" +
    'on where it ended. A model that is asked for is fetched by itself: this is for doing it beforehand, for a newer file\n' +
    '(--update), or for one version: NAME@sha256:DIGITS.',
  options: {
    update: { type: 'boolean', help: 'Ask the sources for a newer file although one is here' },
    watch: { type: 'boolean', help: 'Only follow a pull that runs already' },
  },
  examples: ['sutaz models pull smollm2:135m', 'sutaz models pull gemma3:270m --update'],
  async run({ update = false, watch = false }, [name = ''], context) {
    const client = await context.connect();
    const line = progressLine(context, context.clock);
    const meter = createMeter(context.clock);
    const onProgress = (progress: ApiPullProgress) => {
      const rate = progress.unit === 'steps' ? null : meter.rate(progress.done);
      line.show(formatPull(progress, rate, context.columns() - 1), `${progress.phase} ${progress.what}`);
    };
    const calling = { signal: context.interrupt() };
    const events = watch
      ? client.watchPull(name, {}, calling)
      : client.pullModel(name, update ? { update } : {}, calling);
    let done: ApiPulled;
    try {
      done = await finished(events, onProgress);
    } finally {
      line.clear();
    }
    if (context.json) return context.printJson(done.model);
    const { id, pulled } = done.model;
    context.out(
      `${id} is here${pulled ? `: ${formatBytes(pulled.bytes)}, sha256 ${pulled.sha256.slice(0, 12)}` : ''}\n`,
    );
  },
});
