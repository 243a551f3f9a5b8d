import type { Settings } from '#scheduler/types';
import type { Policy } from '../policy.ts';
import type { Arrival } from '../trace.ts';
import { clairvoyant } from './clairvoyant.ts';
import { foresight } from './foresight.ts';
import { llamaSwap, llamaSwapSerial } from './llama-swap.ts';
import { lru } from './lru.ts';
import { ollama } from './ollama.ts';
import { sutaz } from './sutaz.ts';

export interface PolicyOptions {
  readonly limitBytes: number;
  /** Of the scheduler; the others have none. */
  readonly settings: Settings;
  /** The whole trace, at which only `clairvoyant` and `foresight` look. */
  readonly arrivals: readonly Arrival[];
}

/** A new one for each run: a policy remembers. */
export const policies: Readonly<Record<string, (options: PolicyOptions) => Policy>> = {
  sutaz: ({ limitBytes, settings }) => sutaz(limitBytes, settings),
  lru: ({ limitBytes }) => lru(limitBytes),
  ollama: ({ limitBytes }) => ollama(limitBytes),
  'llama-swap': ({ limitBytes }) => llamaSwap(limitBytes),
  'llama-swap-serial': ({ limitBytes }) => llamaSwapSerial(limitBytes),
  foresight: ({ limitBytes, settings, arrivals }) => foresight(limitBytes, settings, arrivals),
  clairvoyant: ({ limitBytes, arrivals }) => clairvoyant(limitBytes, arrivals),
};
