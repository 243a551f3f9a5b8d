import { createHmac, randomBytes } from 'node:crypto';

/** Hexadecimal: every program takes it as a password, as a key of 256 bits, and in an address without escapes. */
export const newSeed = (): string => randomBytes(32).toString('hex');

/**
 * A secret that is the same each time it is asked for by the same names, 64 hexadecimal digits. It is kept nowhere: who has
 * the seed has all of them, and nobody finds the seed, or another secret, from one of them.
 */
export const lastingSecret = (seed: string, ...names: readonly string[]): string =>
  createHmac('sha256', seed).update(JSON.stringify(names)).digest('hex');
