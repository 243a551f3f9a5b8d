import type { LimitRule } from '#config/limits';
import { didYouMean } from '#kernel/nearest';
import { anyOf } from './rules.ts';

/** The names that rules may be about. */
export interface Known {
  /** Keys and principals by every name they have. */
  readonly keys: readonly string[];
  readonly principals: readonly string[];
  readonly services: readonly string[];
  readonly models: readonly string[];
}

/** A pattern of a rule that fits nothing there is, with its place. */
export interface Idle {
  readonly path: readonly (string | number)[];
  readonly rule: number;
  readonly message: string;
}

const nouns = { key: 'key', principal: 'principal', service: 'service', model: 'model' } as const;

/** The addresses below which there is something to limit. */
const places = ['/v1/', '/v2/', '/api/', '/rerank', '/mcp', '/services/', '/sutaz/v1/', '/metrics'];

/** What can never apply as things are. It may be right tomorrow: it is told, and refuses nothing. */
export function idlePatterns(rules: readonly LimitRule[], known: Known): Idle[] {
  return rules.flatMap((rule, index) => {
    const at = (part: string, at: number) => ['limits', 'rules', index, 'for', part, at];
    const unknown = (['key', 'principal', 'service', 'model'] as const).flatMap((part) =>
      (rule.for[part] ?? []).flatMap((pattern, place) => {
        const names = known[`${part}s`];
        if (names.some(anyOf([pattern]))) return [];
        const near = pattern.includes('*') ? '' : didYouMean(pattern, names);
        const message = `no ${nouns[part]} is called ${pattern}: this limit matches nothing.${near}`;
        return [{ path: at(part, place), rule: index, message }];
      }),
    );
    const astray = (rule.for.route ?? []).flatMap((route, place) => {
      const head = route.split('*')[0] ?? '';
      if (places.some((one) => one.startsWith(head) || head.startsWith(one))) return [];
      const message = `nothing that is limited is at ${route}: this limit matches nothing.${didYouMean(route, places)}`;
      return [{ path: at('route', place), rule: index, message }];
    });
    return [...unknown, ...astray];
  });
}
