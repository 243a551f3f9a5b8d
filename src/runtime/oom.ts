import type { ServiceDefinition } from '#catalog/service';

/** The ends of each tier's band: of priority 0 and of priority 100. */
const bands = { 'on-demand': [800, 300], persistent: [250, 150], core: [100, 50] } as const satisfies Record<
  ServiceDefinition['tier'],
  readonly [number, number]
>;

/**
 * How much sooner than the platform the kernel is to take an instance when memory runs out after all, in thousandths of
 * the machine's memory: so much more it seems to use (proc_pid_oom_score_adj(5)). What starts again when asked goes
 * first, the core last; within a tier the lower priority goes first. The bands are apart, so that a small on-demand unit
 * goes before a core one that uses up to a fifth of the memory more.
 */
export function oomScoreAdj(tier: ServiceDefinition['tier'], priority: number): number {
  const [first, last] = bands[tier];
  return Math.round(first + ((last - first) * Math.min(100, Math.max(0, priority))) / 100);
}
