import type { ApiPullProgress } from '#contracts/api';
import { finished } from '../sdk.ts';
import type { Calling, Client } from '../sdk.ts';
import type { Context } from './context.ts';
import { createMeter, formatPull, progressLine } from './progress.ts';

type Work<Done> =
  { readonly event: 'progress'; readonly data: ApiPullProgress } | { readonly event: 'done'; readonly data: Done };

/** Asks for long work on the store and shows how far it is; Ctrl-C ends it. */
export async function storeWork<Done>(
  begin: (client: Client, calling: Calling) => AsyncIterable<Work<Done>>,
  context: Context,
): Promise<Done> {
  const client = await context.connect();
  const line = progressLine(context, context.clock);
  const meter = createMeter(context.clock);
  try {
    return await finished<Work<Done>>(begin(client, { signal: context.interrupt() }), (progress) =>
      line.show(
        formatPull(progress, meter.rate(progress.done), context.columns() - 1),
        `${progress.phase} ${progress.what}`,
      ),
    );
  } finally {
    line.clear();
  }
}
