import type { Clock } from '#kernel/clock';
import { defaultOutlier } from '#resilience/outlier';
import { createPickers } from './pickers.ts';
import type { Pickers } from './pickers.ts';
import { localPolicy } from './policy.ts';
import type { Policy } from './policy.ts';

/** How requests are treated where nothing is said. */
export const plainPolicy: Policy = {
  ...localPolicy,
  ...{ places: [], balance: 'least-requests', hashBy: 'conversation', outliers: defaultOutlier },
  ...{ health: null, canary: null, mirror: null, hedge: null },
};

/** Pickers of which all units have the same policy, with health checks that nothing fails. */
export const fakePickers = (clock: Clock, policy: Partial<Policy> = {}): Pickers =>
  createPickers({ clock, policy: () => ({ ...plainPolicy, ...policy }), check: () => Promise.resolve(null) });
