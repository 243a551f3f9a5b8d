import { nextDue } from '#scheduler/account';
import { createState } from '#scheduler/state';
import type { Foresight } from '#scheduler/state';
import { step } from '#scheduler/step';
import { defaultSettings } from '#scheduler/types';
import type { Settings } from '#scheduler/types';
import type { Policy } from '../policy.ts';

/** As on the platform, but that nobody is turned away for the length of a queue: every policy has all requests to serve. */
export const simulatedSettings: Settings = { ...defaultSettings, maxWaiters: 100_000 };

/** The scheduler that runs the platform, as it is. */
export function sutaz(limitBytes: number, settings: Settings = simulatedSettings, foresight?: Foresight): Policy {
  const state = createState(settings, limitBytes, undefined, foresight);
  return {
    name: 'sutaz',
    step(event, now) {
      // The first moment of a trace is taken for midnight between Wednesday and Thursday.
      if (event.kind === 'configure') step(state, { kind: 'clock', localMs: now }, now);
      return step(state, event, now);
    },
    nextWake: () => nextDue(state),
  };
}
