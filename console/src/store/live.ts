import type { Client } from '../api/client.ts';
import { asProblem } from '../api/problem.ts';
import type { Store } from './store.ts';

/** Time, handed in so that tests own it. `after` gives back how to cancel. */
export interface Timer {
  now(): number;
  after(ms: number, run: () => void): () => void;
}

export const browserTimer: Timer = {
  now: () => Date.now(),
  after(ms, run) {
    const id = setTimeout(run, ms);
    return () => clearTimeout(id);
  },
};

/** The platform sends something at least every 15 s; after three silences the line is taken for dead. */
export const silenceMs = 45_000;
const firstDelayMs = 500;
const longestDelayMs = 10_000;

export interface Live {
  /** Tries again now instead of after the wait: the tab was shown, the network came back, someone pressed the button. */
  retry(): void;
  /** Some other request was told 401: connects anew, which shows whether the session is really over. */
  recheck(): void;
  /** Ends the connection and every wait. */
  close(): void;
}

type Outcome =
  | { readonly kind: 'ended'; readonly wasLive: boolean; readonly reason: string }
  | { readonly kind: 'signed-out' | 'recheck' };

/** How long to wait before the n-th attempt in a row (from 1): doubling, bounded. One page is no herd, so no jitter. */
export function retryDelay(attempt: number): number {
  return Math.min(longestDelayMs, firstDelayMs * 2 ** (attempt - 1));
}

/** Keeps the store fed: connects, passes events on, and connects again until closed. It alone writes the store's connection. */
export function keepLive(client: Client, store: Store, timer: Timer = browserTimer): Live {
  let closed = false;
  let current: AbortController | null = null;
  let skipWait = (): void => undefined;
  void run();

  async function run(): Promise<void> {
    let failures = 0;
    while (!closed) {
      const outcome = await connection(new AbortController());
      if (closed) return;
      if (outcome.kind === 'signed-out') {
        store.dispatch({ type: 'connection', connection: { status: 'signed-out' } });
        // Signed out until a snapshot says otherwise: going through `connecting` would flash the empty page.
        await wait(null);
      } else if (outcome.kind === 'ended') {
        failures = outcome.wasLive ? 1 : failures + 1;
        const delay = retryDelay(failures);
        const retryAt = timer.now() + delay;
        store.dispatch({ type: 'connection', connection: { status: 'lost', reason: outcome.reason, retryAt } });
        await wait(delay);
      }
    }
  }

  /** One connection from its beginning to its end. */
  async function connection(abort: AbortController): Promise<Outcome> {
    current = abort;
    let wasLive = false;
    const watch = () => timer.after(silenceMs, () => abort.abort('silence'));
    let unwatch = watch();
    try {
      for await (const event of client.events(abort.signal)) {
        unwatch();
        unwatch = watch();
        wasLive ||= event.type === 'state';
        store.dispatch({ type: 'received', event, now: timer.now() });
      }
      return { kind: 'ended', wasLive, reason: 'The platform ended the connection.' };
    } catch (error) {
      const problem = asProblem(error);
      if (problem.status === 401) return { kind: 'signed-out' };
      if (abort.signal.reason === 'recheck') return { kind: 'recheck' };
      const silent = abort.signal.reason === 'silence';
      return { kind: 'ended', wasLive, reason: silent ? 'Nothing was heard from the platform.' : problem.message };
    } finally {
      unwatch();
      current = null;
    }
  }

  /** Waits `ms`, or without end, until `retry` or `close`. */
  function wait(ms: number | null): Promise<void> {
    return new Promise((resolve) => {
      const cancel = ms === null ? () => undefined : timer.after(ms, () => skipWait());
      skipWait = () => {
        cancel();
        skipWait = () => undefined;
        resolve();
      };
    });
  }

  return {
    retry: () => skipWait(),
    recheck: () => current?.abort('recheck'),
    close() {
      closed = true;
      current?.abort('closed');
      skipWait();
    },
  };
}
