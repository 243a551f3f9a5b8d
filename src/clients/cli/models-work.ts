import type { ApiPullProgress } from '#contracts/api';
import type { Context } from './context.ts';
import { createMeter, formatPull, progressLine } from './progress.ts';
import { followWork } from './units.ts';

/** Asks for long work on the store and shows how far it is; Ctrl-C ends it. */
export async function storeWork<Done>(path: string, body: unknown, context: Context): Promise<Done> {
  const client = await context.connect();
  const line = progressLine(context, context.clock);
  const meter = createMeter(context.clock);
  const items = client.events('POST', path, { body, signal: context.interrupt() });
  try {
    return await followWork<ApiPullProgress, Done>(items, (progress) =>
      line.show(
        formatPull(progress, meter.rate(progress.done), context.columns() - 1),
        `${progress.phase} ${progress.what}`,
      ),
    );
  } finally {
    line.clear();
  }
}
