import type { Policy } from '../policy.ts';
import { swapping } from './swapping.ts';

/**
 * First in, first out: the unit with the oldest waiter gets its memory before any other is brought up, the least recently
 * used idle units make room, and several may start at once. What is ready goes on serving meanwhile.
 */
export const lru = (limitBytes: number): Policy =>
  swapping(limitBytes, { name: 'lru', blocked: 'wait', parallel: true });
