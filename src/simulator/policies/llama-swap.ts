import type { Policy } from '../policy.ts';
import { swapping } from './swapping.ts';

/**
 * After llama-swap's FIFO scheduler (`internal/router/scheduler/fifo.go` of mostlygeek/llama-swap, August 2026):
 * 1. who asks for what is being loaded joins it; 2. who asks for what is ready is served; 3. who would need something busy
 * to stop is parked and looked at again whenever something ends, and those behind it are not held up; 4. swaps whose victims
 * are not the same run side by side. So A B C A B C becomes A A B B C C.
 *
 * It knows no bytes but sets of models that may run together; here it gets the account of bytes and the least recently used
 * idle units as victims, which serves it better than any fixed set. It refuses what exceeds a unit's slots; here that waits.
 */
export const llamaSwap = (limitBytes: number): Policy =>
  swapping(limitBytes, { name: 'llama-swap', blocked: 'pass', parallel: true });

/** As its releases before that did: one swap at a time, in the order of the oldest waiter. */
export const llamaSwapSerial = (limitBytes: number): Policy =>
  swapping(limitBytes, { name: 'llama-swap-serial', blocked: 'wait', parallel: false });
