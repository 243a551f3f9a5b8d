import type { UnitId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import type { Waker } from '#routing/wake';
import type { Records } from '#runtime/records';
import type { Supervisor } from '#runtime/supervisor';
import type { Scheduler } from '#scheduler/run-loop';
import type { Reporter } from './reporter.ts';

export interface AddressDeps {
  readonly records: Pick<Records, 'list'>;
  readonly supervisor: () => Pick<Supervisor, 'record' | 'endpoint'>;
  readonly scheduler: Pick<Scheduler, 'state' | 'dispatch'>;
  readonly waker: () => Pick<Waker, 'wake'>;
  readonly reporter: Pick<Reporter, 'note'>;
  readonly log: Logger;
}

/** Who was told where another one listens, and whether it still does. */
export interface Addresses {
  /** What a unit was told of and is elsewhere now. What does not run is nowhere: it has its port again when it comes back. */
  moved(unit: UnitId): readonly UnitId[];
  /** A unit has come up: whoever was told of another port of it is told anew, by a start once nothing uses it. */
  started(unit: UnitId): void;
}

export function createAddresses({ records, supervisor, scheduler, waker, reporter, log }: AddressDeps): Addresses {
  const movedOf = (told: Readonly<Record<UnitId, number>> = {}): UnitId[] =>
    (Object.entries(told) as [UnitId, number][])
      .filter(([provider, port]) => (supervisor().endpoint(provider)?.port ?? port) !== port)
      .map(([provider]) => provider);
  const { signal } = new AbortController();
  const startFor = async (unit: UnitId, by: UnitId): Promise<void> =>
    (await waker().wake(unit, { principal: by, class: 'batch', signal })).release();
  const tellAnew = (consumer: UnitId, provider: UnitId): void => {
    const message = `was told of a port that ${provider} has no more: it is restarted once nothing uses it`;
    reporter.note('moved', message, consumer);
    const wasAwake = scheduler.state.units.get(consumer)?.phase.kind === 'ready';
    scheduler.dispatch({ kind: 'stop', unit: consumer, reason: { code: 'moved', provider }, force: false });
    if (!wasAwake) return;
    // It may have work of its own that no request asks for.
    startFor(consumer, provider).catch((error: unknown) =>
      log.warn('a unit was not started again', { unit: consumer, error: String(error) }),
    );
  };
  return {
    // Of what runs, without the disk: it is asked for each view.
    moved: (unit) => movedOf(supervisor().record(unit)?.told),
    started(unit) {
      for (const { unit: consumer, told } of records.list()) {
        // It may have moved while its consumer was on the way up.
        const provider = movedOf(told).find((one) => one === unit || consumer === unit);
        if (provider !== undefined) tellAnew(consumer, provider);
      }
    },
  };
}
