import type { Clock } from '#kernel/clock';
import type { Logger } from '#kernel/logger';
import { openPressure, watchPressure } from '#runtime/pressure';
import type { PressureLevel, PressureReading, PressureSample, PressureWatch } from '#runtime/pressure';
import type { Scheduler } from '#scheduler/run-loop';
import type { Reporter } from './reporter.ts';

export interface PressureDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly scheduler: Pick<Scheduler, 'dispatch'>;
  readonly reporter: Pick<Reporter, 'note'>;
  /** For tests; otherwise the kernel's files. */
  readonly read?: () => Promise<PressureReading | null>;
}

/** Tells the scheduler of pressure on memory for as long as it lasts, and people each time its level changes. */
export async function followPressure({ clock, log, scheduler, reporter, read }: PressureDeps): Promise<PressureWatch> {
  let last: PressureLevel = 'none';
  return watchPressure({
    ...{ clock, log, read: read ?? (await openPressure()) },
    onLevel(level, sample) {
      if (level !== last) reporter.note('pressure', sentence(level, sample));
      last = level;
      scheduler.dispatch({ kind: 'pressure', level });
    },
  });
}

const meanings: Readonly<Record<PressureLevel, string>> = {
  none: 'the pressure on memory is over',
  caches: 'memory is scarce: frozen units are given up',
  idle: 'memory is scarce: idle units are given up',
  admission: 'memory is about to run out: nothing is started',
};

function sentence(level: PressureLevel, { some, full, oom }: PressureSample): string {
  if (level === 'none') return meanings.none;
  const waits = `tasks waited for it ${some} % of the last ten seconds, all of them ${full} %`;
  return `${meanings[level]} (${waits}${oom ? ', and the control group ran out of it' : ''})`;
}
