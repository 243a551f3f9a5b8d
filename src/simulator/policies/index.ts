import type { Settings } from '#scheduler/types';
import type { Policy } from '../policy.ts';
import type { Arrival } from '../trace.ts';
import { clairvoyant } from './clairvoyant.ts';
import { llamaSwap, llamaSwapSerial } from './llama-swap.ts';
import { lru } from './lru.ts';
import { ollama } from './ollama.ts';
import { sutaz } from './sutaz.ts';

export interface PolicyOptions {
  readonly limitBytes: number;
  /** Of the scheduler; the others have none. */
  readonly settings: Settings;
  /** The whole trace, which only `clairvoyant` looks at. */
  readonly arrivals: readonly Arrival[];
}

/** A new one for each run: a policy remembers. */
export const policies: Readonly<Record<string, (options: PolicyOptions) => Policy>> = {
  sutaz: ({ limitBytes, settings }) => sutaz(limitBytes, settings),
  lru: ({ limitBytes }) => lru(limitBytes),
  ollama: ({ limitBytes }) => ollama(limitBytes),
  'llama-swap': ({ limitBytes }) => llamaSwap(limitBytes),
  'llama-swap-serial': ({ limitBytes }) => llamaSwapSerial(limitBytes),
  clairvoyant: ({ limitBytes, arrivals }) => clairvoyant(limitBytes, arrivals),
};
