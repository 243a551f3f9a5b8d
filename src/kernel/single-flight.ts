import { abortable, throwIfAborted } from './abort.ts';

const ignore = (): void => undefined;

/**
 * Work that many may ask for and that is done once. Whoever leaves is let go at once; the work itself is aborted when the
 * last one has left, and forgotten when it ends, so that a failure is never remembered.
 */
export interface SingleFlight<T> {
  run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  has(key: string): boolean;
}

interface Flight<T> {
  readonly promise: Promise<T>;
  readonly controller: AbortController;
  users: number;
  done: boolean;
}

export function createSingleFlight<T>(): SingleFlight<T> {
  const flights = new Map<string, Flight<T>>();
  const ending = new Map<string, Promise<unknown>>();
  const begin = (key: string, work: (signal: AbortSignal) => Promise<T>) => {
    const controller = new AbortController();
    // An abandoned run may still be writing: the next one starts when it has ended.
    const before = ending.get(key);
    const promise = (async () => {
      await before;
      throwIfAborted(controller.signal);
      return work(controller.signal);
    })().finally(() => {
      flight.done = true;
      if (flights.get(key) === flight) flights.delete(key);
    });
    promise.catch(() => undefined);
    const flight: Flight<T> = { promise, controller, users: 0, done: false };
    flights.set(key, flight);
    return flight;
  };
  return {
    has: (key) => flights.has(key),
    async run(key, signal, work) {
      throwIfAborted(signal);
      const flight = flights.get(key) ?? begin(key, work);
      flight.users++;
      try {
        return await abortable(flight.promise, signal);
      } finally {
        if (--flight.users === 0 && !flight.done) {
          // Forgotten before it is aborted: the next caller must start anew, not join a work that is ending.
          if (flights.get(key) === flight) flights.delete(key);
          const end = flight.promise.then(ignore, ignore).finally(() => {
            if (ending.get(key) === end) ending.delete(key);
          });
          ending.set(key, end);
          flight.controller.abort(signal.reason);
        }
      }
    },
  };
}
