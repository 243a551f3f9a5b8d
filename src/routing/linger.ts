import type { Clock } from '#kernel/clock';
import { isAbort, toFault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import type { Waker } from './wake.ts';

/** Wakes that go on for callers who said that they will come back. */
export function createLinger(
  wake: Waker['wake'],
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Pick<Waker, 'linger'> {
  const lingering = new Map<UnitId, () => void>();
  return {
    linger(unit, principal, ms) {
      const prolong = lingering.get(unit);
      if (prolong) return prolong();
      const controller = new AbortController();
      const arm = () => clock.after(ms, () => controller.abort());
      let cancel = arm();
      lingering.set(unit, () => {
        cancel();
        cancel = arm();
      });
      const wait = async () => {
        try {
          (await wake(unit, { principal, class: 'interactive', signal: controller.signal })).release();
        } catch (error) {
          if (!isAbort(error) && toFault(error).code !== 'CANCELLED')
            log.info('a wake failed', { unit, error: toFault(error).message });
        } finally {
          cancel();
          lingering.delete(unit);
        }
      };
      void wait();
    },
  };
}
