import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import type { Timeouts } from '#routing/policy';

/** How long one try of a request is waited for. */
export interface Patience {
  /** Aborts when the client leaves, or with TIMEOUT when the time is up. */
  readonly signal: AbortSignal;
  /** It has been sent; `since` is when the first of all tries was. */
  begins(unit: UnitId, since: number): void;
  answered(): void;
  data(): void;
  /** The client is behind: until more comes, silence is its own doing. */
  held(): void;
  end(): void;
}

const nothing = (): void => undefined;

export function patienceOf(client: AbortSignal, clock: Clock, timeouts: Timeouts): Patience {
  const { tryMs, totalMs, idleMs } = timeouts;
  // The usual case, and then there is nothing to do for any of it.
  if (tryMs === Infinity && totalMs === Infinity && idleMs === Infinity)
    return { signal: client, begins: nothing, answered: nothing, data: nothing, held: nothing, end: nothing };
  const controller = new AbortController();
  const onLeave = () => controller.abort(client.reason);
  if (client.aborted) onLeave();
  else client.addEventListener('abort', onLeave, { once: true });
  let name: UnitId | '' = '';
  let heardAt = 0;
  let isHeld = false;
  let cancel = nothing;
  const late = (ms: number, what: string) =>
    controller.abort(new Fault('TIMEOUT', `${name} ${what} ${seconds(ms)}.`, { retryAfter: 1 }));
  // Looked at when it may be over: a timer for every piece would cost more than passing it on.
  const look = () => {
    const left = isHeld ? idleMs : heardAt + idleMs - clock.now();
    if (left > 0) cancel = clock.after(left, look);
    else late(idleMs, 'said nothing any more for');
  };
  return {
    signal: controller.signal,
    begins(unit, since) {
      name = unit;
      const ms = Math.min(tryMs, since + totalMs - clock.now());
      if (ms !== Infinity) cancel = clock.after(ms, () => late(ms, 'did not begin to answer within'));
    },
    answered() {
      cancel();
      heardAt = clock.now();
      if (idleMs !== Infinity) look();
    },
    data: () => void ([heardAt, isHeld] = [clock.now(), false]),
    held: () => void (isHeld = true),
    end() {
      cancel();
      client.removeEventListener('abort', onLeave);
    },
  };
}

const seconds = (ms: number): string =>
  ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms % 1_000 ? 1 : 0)} s`;
