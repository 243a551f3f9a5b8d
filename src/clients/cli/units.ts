import type { ApiUnit } from '#contracts/api';

/** The reason alone: it may begin with the state, which stands beside it already. */
export const reason = ({ state, why }: ApiUnit): string =>
  why.startsWith(`${state}: `) ? why.slice(state.length + 2) : why;

export function stateLine(unit: ApiUnit): string {
  const { name, state, url } = unit;
  const why = reason(unit);
  return `${name} is ${state}${state === 'ready' && url ? ` at ${url}` : ''}${why ? `: ${why}` : ''}\n`;
}
