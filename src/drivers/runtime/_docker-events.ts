import { createInterface } from 'node:readline';
import type Dockerode from 'dockerode';
import type { DriverHost } from '#contracts/driver';
import { sleep } from '#kernel/abort';
import { isRecord } from '#kernel/json';
import { labels } from './_docker-container.ts';
import type { Engine } from './_docker-engine.ts';

/** Milliseconds before an engine that left is asked again. */
const againMs = 1_000;

/**
 * Calls back with the id of each instance whose container ends, and with null whenever some may have ended unheard: at
 * the beginning, and after an engine was away.
 */
export function watchEnds(
  { docker }: Engine,
  owner: string,
  { clock, log, signal }: DriverHost,
  onEnd: (id: string | null) => void,
): void {
  const listen = async () => {
    const options: Dockerode.GetEventsOptions = {
      filters: { type: ['container'], event: ['die'], label: [`${labels.owner}=${owner}`] },
      abortSignal: signal,
    };
    const stream = await docker.getEvents(options);
    onEnd(null);
    for await (const line of createInterface({ input: stream })) {
      const id = instanceIn(line);
      if (id !== null) onEnd(id);
    }
  };
  const run = async () => {
    while (!signal.aborted) {
      await listen().catch((error: unknown) => {
        if (!signal.aborted) log.warn('the events of the Docker engine broke off', { error: String(error) });
      });
      await sleep(clock, againMs, signal).catch(() => undefined);
    }
  };
  void run();
}

/** The instance an event is about; null for a line that names none. */
export function instanceIn(line: string): string | null {
  try {
    const event: unknown = JSON.parse(line);
    const actor = isRecord(event) ? event['Actor'] : undefined;
    const attributes = isRecord(actor) ? actor['Attributes'] : undefined;
    const id = isRecord(attributes) ? attributes[labels.instance] : undefined;
    return typeof id === 'string' ? id : null;
  } catch {
    return null;
  }
}
