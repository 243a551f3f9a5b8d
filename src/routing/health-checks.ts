import type { Clock } from '#kernel/clock';
import type { Endpoint } from './endpoint.ts';
import type { HealthPolicy } from './policy.ts';

export interface HealthWatch {
  /** A request is about to be sent: the checks begin, or go on. */
  used(): void;
  close(): void;
}

/** Checks go on for so many intervals after the last request: what nobody uses is left in peace. */
const intervalsAfterUse = 6;

type Check = (endpoint: Endpoint, signal: AbortSignal) => Promise<string | null>;

/** Asks each upstream at an interval whether it is well, for as long as it is used. */
export function watchHealth(
  endpoints: readonly Endpoint[],
  { intervalMs, bad, good }: HealthPolicy,
  clock: Clock,
  check: Check,
): HealthWatch {
  const closing = new AbortController();
  const inRow = endpoints.map(() => ({ bad: 0, good: 0 }));
  let cancel: (() => void) | null = null;
  let usedAt = -Infinity;

  const look = async (endpoint: Endpoint, row: { bad: number; good: number }): Promise<void> => {
    const why = await check(endpoint, closing.signal);
    if (closing.signal.aborted) return;
    row.bad = why === null ? 0 : row.bad + 1;
    row.good = why === null ? row.good + 1 : 0;
    if (row.bad >= bad) endpoint.checked(false, why ?? '');
    if (row.good >= good) endpoint.checked(true, '');
  };
  const round = () => {
    // The next one begins when all have answered: one that hangs is not asked again meanwhile.
    void Promise.all(endpoints.map((one, i) => look(one, inRow[i] as { bad: number; good: number }))).then(() => {
      cancel = null;
      if (!closing.signal.aborted && clock.now() - usedAt < intervalMs * intervalsAfterUse) arm();
    });
  };
  const arm = () => void (cancel = clock.after(intervalMs, round));
  return {
    used() {
      usedAt = clock.now();
      if (cancel || closing.signal.aborted) return;
      cancel = () => undefined;
      round();
    },
    close() {
      closing.abort();
      cancel?.();
    },
  };
}
