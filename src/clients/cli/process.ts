import { Fault } from '#kernel/faults';
import { systemClock } from '#kernel/clock';
import type { Clock } from '#kernel/clock';
import { exitCodes } from './failure.ts';

/** The system's clock with timers that keep the process alive: a command that only waits would end otherwise. */
export const processClock: Clock = {
  ...systemClock,
  after(ms, callback) {
    const timer = setTimeout(callback, Math.max(0, ms));
    return () => clearTimeout(timer);
  },
};

/**
 * Signals that Ctrl-C (or SIGTERM) aborts. Each call gives a new one, and only the newest is aborted; Ctrl-C again, before
 * another was asked for, ends the process. Until the first call nothing is handled, so that a plain command just ends.
 */
export function processInterrupts(): () => AbortSignal {
  let current: AbortController | undefined;
  const onSignal = () => {
    if (!current || current.signal.aborted) process.exit(exitCodes.interrupted);
    current.abort(new Fault('CANCELLED', 'Interrupted.'));
  };
  return () => {
    if (!current) for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, onSignal);
    current = new AbortController();
    return current.signal;
  };
}
