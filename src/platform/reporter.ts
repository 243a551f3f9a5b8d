import type { ApiEvent } from '#contracts/api';
import type { Clock } from '#kernel/clock';
import type { UnitId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import { formatBytes } from '#kernel/quantities';
import { because } from '#scheduler/explain';
import type { Effect, Event } from '#scheduler/types';

export interface Reporter {
  effect(effect: Effect): void;
  event(event: Event): void;
  note(type: string, message: string, unit?: UnitId): void;
  /** How often each thing happened, by type. */
  readonly counts: ReadonlyMap<string, number>;
}

/** Tells people and logs of what the scheduler does and of what becomes of it: nothing for single requests. */
export function createReporter({
  log,
  clock,
  tell,
}: {
  log: Logger;
  clock: Clock;
  tell: (event: ApiEvent) => void;
}): Reporter {
  const counts = new Map<string, number>();
  const note = (type: string, message: string, unit?: UnitId) => {
    counts.set(type, (counts.get(type) ?? 0) + 1);
    log.info(message, unit ? { type, unit } : { type });
    tell({ at: new Date(clock.wall()).toISOString(), type, message, ...(unit ? { unit } : {}) });
  };
  return {
    counts,
    note,
    effect(effect) {
      if (effect.kind === 'start') note('start', `starts with ${formatBytes(effect.bytes)} reserved`, effect.unit);
      if (effect.kind === 'stop')
        note(effect.reason.code === 'evicted' ? 'evict' : 'stop', `stops: ${because(effect.reason)}`, effect.unit);
      if (effect.kind === 'freeze') note('freeze', 'freezes', effect.unit);
      if (effect.kind === 'thaw') note('thaw', 'thaws', effect.unit);
    },
    event(event) {
      if (event.kind === 'started') note('ready', 'is ready', event.unit);
      if (event.kind === 'stopped') note('cold', 'is cold', event.unit);
      if (event.kind === 'frozen') note('frozen', 'is frozen', event.unit);
      if (event.kind === 'recovered') note('recovered', 'was taken over', event.unit);
      if (event.kind === 'failed') note('failed', `could not be started: ${event.message}`, event.unit);
      if (event.kind === 'exited') note('exited', `ended by itself: ${event.message}`, event.unit);
    },
  };
}
