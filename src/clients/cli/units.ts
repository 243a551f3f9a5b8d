import type { ApiProgress, ApiUnit } from '#contracts/api';
import { Fault } from '#kernel/faults';
import type { SseItem } from '#kernel/sse';
import { faultOfProblem } from '../http.ts';

/** A unit's path. The name may be an id, a bare name or a model's alias: the platform finds it. */
export const unitPath = (name: string, rest = ''): string => `/sutaz/v1/units/${encodeURIComponent(name)}${rest}`;

/** The reason alone: it may begin with the state, which stands beside it already. */
export const reason = ({ state, why }: ApiUnit): string =>
  why.startsWith(`${state}: `) ? why.slice(state.length + 2) : why;

export function stateLine(unit: ApiUnit): string {
  const { name, state, url } = unit;
  const why = reason(unit);
  return `${name} is ${state}${state === 'ready' && url ? ` at ${url}` : ''}${why ? `: ${why}` : ''}\n`;
}

/**
 * Follows long work of the platform: `progress` events, then one `done` or `error`. A stream that stops without either is
 * an error, never a success.
 */
export async function followWork<Progress, Done>(
  items: AsyncIterable<SseItem>,
  onProgress: (progress: Progress) => void,
): Promise<Done> {
  for await (const item of items) {
    if (item.kind === 'comment') continue;
    if (item.event === 'progress') onProgress(JSON.parse(item.data) as Progress);
    if (item.event === 'error') throw faultOfProblem(JSON.parse(item.data));
    if (item.event === 'done') return JSON.parse(item.data) as Done;
  }
  throw new Fault('UPSTREAM_FAILED', 'The platform ended before the work was done.');
}

export const followWake = (
  items: AsyncIterable<SseItem>,
  onProgress: (progress: ApiProgress) => void,
): Promise<ApiUnit> => followWork<ApiProgress, ApiUnit>(items, onProgress);
