import type { Progress } from '../api/types.ts';
import { formatSpan } from './format.ts';

/** `starting, loading weights · position 2 · 40 % · about 3 s left`: only what the platform said. `age` in ms. */
export function progressText(progress: Progress, age: number): string {
  const { phase, what, percent, position, estimateMs } = progress;
  const left = estimateMs === undefined ? null : estimateMs - age;
  return [
    what ? `${phase}: ${what}` : phase,
    position === undefined || position < 1 ? '' : `position ${position}`,
    percent === undefined ? '' : `${Math.round(percent)} %`,
    left === null ? '' : left < 1000 ? 'any moment' : `about ${formatSpan(left)} left`,
  ]
    .filter(Boolean)
    .join(' · ');
}
