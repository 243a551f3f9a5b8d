import type { Clock } from './clock.ts';

/**
 * Runs work again and again, `ms` milliseconds after its last run ended, so that no two runs overlap, until the returned
 * function is called. A run that fails is told and changes nothing else.
 */
export function repeat(
  clock: Clock,
  ms: number,
  work: () => Promise<void>,
  onError: (error: unknown) => void,
): () => void {
  let stopped = false;
  let cancel = (): void => undefined;
  const again = () => {
    cancel = clock.after(ms, () => {
      work()
        .catch(onError)
        .finally(() => {
          if (!stopped) again();
        });
    });
  };
  again();
  return () => {
    stopped = true;
    cancel();
  };
}
