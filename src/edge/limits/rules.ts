import type { LimitRule, Subject } from '#config/limits';
import { periods } from '#config/limits';
import type { Period } from '#config/limits';
import { globOf } from '#kernel/glob';
import { policyItem } from './headers.ts';

/** What is known of a request when it is asked for whom its limits are. */
export interface Facts {
  /** The key's id; the principal's where it came with none. */
  readonly key: string;
  readonly principal: string;
  /** The names by which rules may know the key and its principal. */
  readonly keyNames: readonly string[];
  readonly principalNames: readonly string[];
  /** One of the two where the request is for one. A model by its id. */
  readonly service: string | null;
  readonly model: string | null;
  readonly path: string;
}

export type Kind = 'requests' | 'tokens' | 'bytes' | 'concurrent';

/** One number that a rule sets. */
export interface Quota {
  readonly kind: Kind;
  readonly limit: number;
  /** Null for `concurrent`. */
  readonly per: Period | null;
  /** Milliseconds; 0 for `concurrent`. */
  readonly windowMs: number;
  /** What the headers call it: `limit-1-requests-minute`. */
  readonly policy: string;
  /** The item of RateLimit-Policy, which is the same with every answer. */
  readonly item: string;
}

/** A rule, ready to be asked. */
export interface CompiledRule {
  /** The same for as long as it is about the same, whatever its name and its numbers are. */
  readonly id: string;
  readonly name: string;
  readonly quotas: readonly Quota[];
  /** Whether only a request's body can tell if it is about it. */
  readonly needsModel: boolean;
  /** Whether it tells one path from another. */
  readonly needsRoute: boolean;
  readonly matches: (facts: Facts) => boolean;
  /** Whose account of the rule it is; null where the request is for nothing that the rule keeps accounts of. */
  readonly subjectOf: (facts: Facts) => string | null;
}

/** What a model may be called in a rule: its id, its aliases, and the names of the configuration's that stand for it. */
export type NamesOfModel = (id: string) => readonly string[];

export function compileRules(rules: readonly LimitRule[], namesOf: NamesOfModel): CompiledRule[] {
  const seen = new Map<string, number>();
  return rules.map((rule, index) => {
    const about = JSON.stringify([rule.for, rule.each ?? []]);
    const twin = seen.get(about) ?? 0;
    seen.set(about, twin + 1);
    const name = rule.name ?? `limit-${index + 1}`;
    return {
      id: `${about}${twin === 0 ? '' : `#${twin}`}`,
      name,
      quotas: quotasOf(rule, name),
      needsModel: rule.for.model !== undefined || rule.each?.includes('model') === true,
      needsRoute: rule.for.route !== undefined,
      matches: matcherOf(rule, namesOf),
      subjectOf: (facts) => subjectOf(rule.each ?? [], facts),
    };
  });
}

function quotasOf(rule: LimitRule, name: string): Quota[] {
  const rated = (['requests', 'tokens', 'bytes'] as const).flatMap((kind) =>
    (rule[kind] ?? []).map(({ limit, per }) => ({
      ...{ kind, limit, per, windowMs: periods[per], policy: `${name}-${kind}-${per}` },
    })),
  );
  const gate = { kind: 'concurrent', per: null, windowMs: 0, policy: `${name}-concurrent` } as const;
  const { concurrent } = rule;
  const all = concurrent === undefined ? rated : [...rated, { ...gate, limit: concurrent }];
  return all.map((quota) => ({ ...quota, item: policyItem(quota) }));
}

/** Where work is asked for. A rule that names no route is about this, and not about looking at the platform. */
export const isWork = ({ path, service }: Facts): boolean =>
  service !== null || /^\/(v1|v2|api)\/|^\/(rerank|mcp)$/.test(path);

function matcherOf({ for: about }: LimitRule, namesOf: NamesOfModel): (facts: Facts) => boolean {
  const [key, principal, service, model, route] = (['key', 'principal', 'service', 'model', 'route'] as const).map(
    (part) => about[part] && anyOf(about[part]),
  );
  return (facts) =>
    (route ? route(facts.path) : isWork(facts)) &&
    (!key || facts.keyNames.some(key)) &&
    (!principal || facts.principalNames.some(principal)) &&
    (!service || (facts.service !== null && service(facts.service))) &&
    (!model || (facts.model !== null && namesOf(facts.model).some(model)));
}

/** Whether a text is one of the patterns, in which `*` stands for any text. */
export function anyOf(patterns: readonly string[]): (text: string) => boolean {
  const fits = patterns.map(globOf);
  return (text) => fits.some((one) => one(text));
}

function subjectOf(each: readonly Subject[], facts: Facts): string | null {
  const parts: string[] = [];
  for (const subject of each) {
    const value = facts[subject];
    if (value === null) return null;
    parts.push(value);
  }
  return parts.join(' ');
}
