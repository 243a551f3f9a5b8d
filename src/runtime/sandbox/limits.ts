import type { InstanceLimits } from '#contracts/runtime';

export interface Expected {
  /** What the ledger reserved. */
  readonly memoryBytes: number;
  /** Cores that it is said to use. */
  readonly cpu: number;
  /** Cores of the machine: many programs make a thread for each. */
  readonly cores: number;
}

const GiB = 2 ** 30;

/**
 * Backstops: the ledger bounds what is expected, and learns; these end what has gone wrong before it takes the machine
 * along. So memory is twice the reservation, at least one GiB more, and a few hundred processes with some for each core.
 */
export const limitsFor = (expected: Expected, processes?: number): InstanceLimits => ({
  ...limitsOfRun(expected, processes),
  memoryBytes: Math.max(2 * expected.memoryBytes, expected.memoryBytes + GiB),
});

/** A run of a tool has a limit that somebody set, and ends beyond it. */
export const limitsOfRun = ({ memoryBytes, cpu, cores }: Expected, processes?: number): InstanceLimits => ({
  memoryBytes,
  processes: processes ?? 512 + 32 * cores,
  cpuWeight: Math.min(10_000, Math.max(1, Math.round(100 * cpu))),
});
