import { sleep } from '#kernel/abort';
import type { DriverHost } from '#contracts/driver';
import type { ExitedStatus } from '#contracts/runtime';
import { isGone, statusOf } from './_docker-engine.ts';
import type { Container, Tracked } from './_docker-instances.ts';
import { unseenEnd, type Exits } from './_exits.ts';

/** Milliseconds that the last lines of an ended container may take to arrive. */
const lastLinesMs = 3_000;
/** Milliseconds before an engine that refused is asked again. */
const againMs = 1_000;

interface BurialDeps extends DriverHost {
  readonly tracked: Map<string, Tracked>;
  readonly exits: Exits;
  remove(one: Container): Promise<void>;
}

/** What is done with a container that may have ended. */
export interface Burials {
  /** Its last lines are fetched and it is removed before its end is told, so that an end is an end. Nothing while it runs. */
  bury(item: Tracked, circumstance?: string): Promise<void>;
  /** The same for one that nobody waits for, again and again until the engine lets it. */
  settle(item: Tracked, circumstance?: string): Promise<void>;
}

export function createBurials({ tracked, exits, remove, clock, log, signal }: BurialDeps): Burials {
  const work = async (item: Tracked, circumstance?: string) => {
    await item.begun.promise;
    if (tracked.get(item.handle.id) !== item) return;
    const status = await endOf(item);
    if (status === null) return;
    await Promise.race([item.log?.done, sleep(clock, lastLinesMs)]);
    item.log?.close();
    await remove(item);
    tracked.delete(item.handle.id);
    item.ended.resolve();
    exits.publish(item.handle, circumstance === undefined ? status : { ...status, circumstance });
  };
  const bury = (item: Tracked, circumstance?: string): Promise<void> => {
    item.burial ??= work(item, circumstance).finally(() => (item.burial = null));
    return item.burial;
  };
  const settle = async (item: Tracked, circumstance?: string): Promise<void> => {
    try {
      await bury(item, circumstance);
    } catch (error) {
      const facts = { id: item.handle.id, error: String(error) };
      // One that answers nothing is waited for by who listens to its events, and all are looked at then.
      if (statusOf(error) === undefined) return log.debug('the end of a container was not looked into', facts);
      log.warn('the end of a container could not be looked into', facts);
      await sleep(clock, againMs, signal).then(
        () => settle(item, circumstance),
        () => undefined,
      );
    }
  };
  return { bury, settle };
}

/** How it ended; null while it runs. */
async function endOf({ quick, killed, limitBytes }: Tracked): Promise<ExitedStatus | null> {
  try {
    const { State } = await quick.inspect();
    return State.Running ? null : exitStatus(State, killed, limitBytes);
  } catch (error) {
    // Someone removed it.
    if (isGone(error)) return unseenEnd;
    throw error;
  }
}

/** What a shell, and the engine after it, adds to the number of the signal that ended a process. */
const bySignal = 128;
const signals: Readonly<Record<number, string>> = {
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
};

/**
 * The engine gives one number for a code and for a signal. Of those above 128 the ones are taken for signals that
 * no program chooses: a service that ends by `exit 143`, as Java does when asked to end, has ended by itself.
 */
export function exitStatus(
  { ExitCode, OOMKilled }: { readonly ExitCode: number; readonly OOMKilled: boolean },
  killed: boolean,
  limitBytes: number,
): ExitedStatus {
  const signal = signals[ExitCode - bySignal] ?? null;
  // The mark stays when a child was killed and the service went on: it says nothing of an end in peace.
  const oomKilled = OOMKilled && !killed && ExitCode !== 0;
  return {
    ...{ state: 'exited', code: signal === null ? ExitCode : null, signal, oomKilled },
    ...(oomKilled && limitBytes > 0 && { limitBytes }),
  };
}
