import type { ApiProgress, ApiPullProgress } from '#contracts/api';
import type { Clock } from '#kernel/clock';
import { formatBytes, formatDuration } from '#kernel/quantities';
import type { Io } from './context.ts';
import { fit } from './style.ts';

export interface ProgressLine {
  /** `topic` is what a step is about: where lines cannot be rewritten, a new topic is said at once. */
  show(text: string, topic: string): void;
  /** Takes the line away, before anything else is written. */
  clear(): void;
}

/**
 * Progress on stderr: one rewritten line on a terminal, otherwise a line for each new topic and one every few seconds,
 * which reads well in the log of a build.
 */
export function progressLine(io: Pick<Io, 'err' | 'errTty' | 'columns'>, clock: Clock, everyMs = 5_000): ProgressLine {
  let shown = false;
  let topicBefore = '';
  let last = -Infinity;
  return {
    show(text, topic) {
      if (io.errTty) {
        io.err(`\r${fit(text, io.columns() - 1)}\x1b[K`);
        shown = true;
        return;
      }
      if (topic === topicBefore && clock.now() - last < everyMs) return;
      topicBefore = topic;
      last = clock.now();
      io.err(`${fit(text, 500)}\n`);
    },
    clear() {
      if (shown) io.err('\r\x1b[K');
      shown = false;
    },
  };
}

/** `smollm2:135m: starting, reading the weights, 40 %, about 3 s`. */
export function formatWake(name: string, { phase, what, percent, position, estimateMs }: ApiProgress): string {
  const parts = [
    phase,
    ...(what ? [what] : []),
    ...(position === undefined ? [] : [`place ${position} in the queue`]),
    ...(percent === undefined ? [] : [`${Math.round(percent)} %`]),
    ...(estimateMs === undefined ? [] : [`about ${formatDuration(estimateMs)}`]),
  ];
  return `${name}: ${parts.join(', ')}`;
}

/** A comment of a held stream, `{"phase":"starting","estimateMs":3000}`; null for any other comment. */
export function parseWake(comment: string): ApiProgress | null {
  try {
    const value: unknown = JSON.parse(comment);
    if (typeof value !== 'object' || value === null) return null;
    // A unit that only waits its turn has a state and no phase yet.
    const phase = 'phase' in value ? value.phase : 'state' in value ? value.state : undefined;
    return typeof phase === 'string' ? { ...value, phase } : null;
  } catch {
    return null;
  }
}

/** How fast something goes, from what was done in the last few seconds: an average from the start would hide a stall. */
export function createMeter(clock: Clock, windowMs = 5_000): { rate(done: number): number | null } {
  let samples: { readonly at: number; readonly done: number }[] = [];
  return {
    rate(done) {
      const now = clock.now();
      const before = samples.at(-1);
      // Less done than before: another file has begun.
      if (before && done < before.done) samples = [];
      samples = [...samples.filter(({ at }) => now - at <= windowMs), { at: now, done }];
      const first = samples[0];
      const elapsed = first ? now - first.at : 0;
      return first && elapsed >= 500 ? ((done - first.done) / elapsed) * 1_000 : null;
    },
  };
}

/** One line of a pull: a bar where the total is known, bytes, rate (bytes a second) and the time left. */
export function formatPull(
  { phase, what, done, total, unit }: ApiPullProgress,
  rate: number | null,
  width: number,
): string {
  if (unit === 'steps') return `${phase} ${what} ${total === undefined ? done : `${done}/${total}`}`;
  const amount = total === undefined ? formatBytes(done) : `${formatBytes(done)} of ${formatBytes(total)}`;
  const speed = rate === null ? '' : `, ${formatBytes(rate)}/s`;
  const left = total !== undefined && rate ? `, ${formatDuration(((total - done) / rate) * 1_000)} left` : '';
  const percent = total === undefined || total === 0 ? '' : `${Math.floor((done / total) * 100)} % `;
  const figures = `${percent}${amount}${speed}${left}`;
  const label = `${phase} ${what}`;
  const room = width - label.length - figures.length - 5;
  const bar = total !== undefined && room >= 10 ? ` ${drawBar(done / Math.max(1, total), Math.min(30, room))}` : '';
  return `${label}${bar} ${figures}`;
}

export function drawBar(part: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, part)) * width);
  return `[${'#'.repeat(filled)}${'-'.repeat(width - filled)}]`;
}
