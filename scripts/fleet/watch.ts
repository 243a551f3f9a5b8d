import type { Client } from '#clients/sdk';
import { systemClock } from '#kernel/clock';
import { formatBytes } from '#kernel/quantities';
import { repeat } from '#kernel/repeat';
import { pssOfPlatform } from './processes.ts';

/** What a platform and all that it runs take, as it was looked at again and again. */
export interface Watched {
  readonly samples: number;
  readonly peak: { readonly reservedBytes: number; readonly pssBytes: number };
  /** The looks that found more than the limit. */
  readonly over: string[];
}

export interface Watching {
  /** Ends it after a last look. Throws where the looks themselves failed: then nothing is known. */
  stop(): Promise<Watched>;
}

export interface WatchDeps {
  readonly client: Pick<Client, 'readLedger'>;
  readonly home: string;
  /** The platform's process. */
  readonly pid: number;
  readonly limitBytes: number;
  /** What is done, for the looks that find too much. */
  readonly doing: () => string;
  readonly pss?: (home: string, pid: number) => Promise<number>;
}

/** Milliseconds between two looks: a look reads some hundred files of the kernel's. */
const everyMs = 500;

export function watchMemory({ client, home, pid, limitBytes, doing, pss = pssOfPlatform }: WatchDeps): Watching {
  const peak = { reservedBytes: 0, pssBytes: 0 };
  const over: string[] = [];
  let samples = 0;
  let failure: unknown = null;
  const note = (what: keyof typeof peak, bytes: number): void => {
    peak[what] = Math.max(peak[what], bytes);
    if (bytes <= limitBytes) return;
    const word = what === 'pssBytes' ? 'in use' : 'reserved';
    over.push(`${formatBytes(bytes)} ${word} of ${formatBytes(limitBytes)} at ${doing()}`);
  };
  const look = async (): Promise<void> => {
    const [{ reservedBytes }, bytes] = await Promise.all([client.readLedger(), pss(home, pid)]);
    note('reservedBytes', reservedBytes);
    note('pssBytes', bytes);
    samples++;
  };
  const leave = repeat(systemClock, everyMs, look, (error) => (failure ??= error));
  return {
    async stop() {
      leave();
      await look();
      if (failure !== null) throw failure;
      return { samples, peak, over };
    },
  };
}
