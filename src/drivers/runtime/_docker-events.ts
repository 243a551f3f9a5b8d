import { createInterface } from 'node:readline';
import type Dockerode from 'dockerode';
import type { DriverHost } from '#contracts/driver';
import { sleep } from '#kernel/abort';
import { isRecord } from '#kernel/json';
import { labels } from './_docker-container.ts';
import type { Engine } from './_docker-engine.ts';

/** Milliseconds before an engine that left is asked again: first, and at most. */
const again = { first: 250, most: 10_000 };

/** How long an engine is left alone that did not answer so often. */
export const againAfter = (failures: number): number =>
  Math.min(again.most, again.first * 2 ** Math.max(0, failures - 1));

export interface EventListener {
  /** The container of an instance ended. */
  ended(id: string): void;
  /** From now on ends are heard. Some may have gone unheard before: at the beginning, or while the engine was away. */
  listening(wasAway: boolean): void;
}

/** Tells of the containers that end, for as long as the signal lets it; an engine that leaves is waited for. */
export function watchEnds(
  { docker }: Engine,
  owner: string,
  { clock, log, signal }: DriverHost,
  listener: EventListener,
): void {
  let failures = 0;
  const listen = async () => {
    const options: Dockerode.GetEventsOptions = {
      filters: { type: ['container'], event: ['die'], label: [`${labels.owner}=${owner}`] },
      abortSignal: signal,
    };
    const stream = await docker.getEvents(options);
    const wasAway = failures > 0;
    failures = 0;
    if (wasAway) log.info('the Docker engine answers again', {});
    listener.listening(wasAway);
    for await (const line of createInterface({ input: stream })) {
      const id = instanceIn(line);
      if (id !== null) listener.ended(id);
    }
    throw new Error('it ended them');
  };
  const run = async () => {
    while (!signal.aborted) {
      await listen().catch((error: unknown) => {
        failures++;
        // Once for each time that it is away.
        if (failures === 1 && !signal.aborted)
          log.warn('the events of the Docker engine broke off', { error: String(error) });
      });
      await sleep(clock, againAfter(failures), signal).catch(() => undefined);
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
