import type { Clock } from './clock.ts';
import { Fault } from './faults.ts';

/** Throws CANCELLED (or the signal's own Fault) when the signal is aborted already. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortFault(signal);
}

/** What an aborted signal means as a Fault: the reason itself when it is one. */
export function abortFault(signal: AbortSignal): Fault {
  const reason: unknown = signal.reason;
  return reason instanceof Fault ? reason : new Fault('CANCELLED', 'The caller left.', { cause: reason });
}

/** Waits `ms` milliseconds of the clock's time; rejects at once when the signal aborts. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortFault(signal));
    const onAbort = () => {
      cancel();
      reject(abortFault(signal as AbortSignal));
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** A promise that only ever rejects, when the signal aborts; `stop` takes its listener away again. */
export function aborted(signal: AbortSignal): { readonly promise: Promise<never>; stop(): void } {
  let onAbort = (): void => undefined;
  const promise = new Promise<never>((_, reject) => {
    onAbort = () => reject(abortFault(signal));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  // Whoever races it may have settled already: an unobserved rejection must not end the process.
  promise.catch(() => undefined);
  return { promise, stop: () => signal.removeEventListener('abort', onAbort) };
}

/** Settles with the promise or rejects when the signal aborts, whichever is first. The work itself must watch the signal too. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const guard = aborted(signal);
  try {
    return await Promise.race([promise, guard.promise]);
  } finally {
    guard.stop();
  }
}

/** A signal that aborts with TIMEOUT after `ms`, or when `parent` does. `clear` must be called when the work is over. */
export function deadline(
  clock: Clock,
  ms: number,
  message: string,
  parent?: AbortSignal,
): { readonly signal: AbortSignal; clear(): void } {
  const controller = new AbortController();
  const onParent = () => controller.abort(parent?.reason);
  if (parent?.aborted) onParent();
  parent?.addEventListener('abort', onParent, { once: true });
  const cancel = clock.after(ms, () => controller.abort(new Fault('TIMEOUT', message)));
  return {
    signal: controller.signal,
    clear() {
      cancel();
      parent?.removeEventListener('abort', onParent);
    },
  };
}
