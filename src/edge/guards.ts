import { controlBase, operationIds, operations } from '#contracts/operations';
import type { Operation } from '#contracts/operations';
import type { Scope } from '#kernel/scopes';
import type { Exchange } from './exchange.ts';

/** Who may come to an address of the door. An address without a guard is not there, whatever might answer at it. */
export interface Guard {
  /** Null for whatever a service takes. */
  readonly methods: readonly string[] | null;
  /** `{name}` is one segment, `{+name}` the rest; what it stands for narrows the scope. */
  readonly path: string;
  /** Null where no key is needed, `any` where any key comes in and what answers looks at what it may. */
  readonly scope: Operation['scope'] | 'any';
  /** For who looks whether the platform is well, and may know it by another name. */
  readonly anyHost?: true;
}

const get = ['GET', 'HEAD'] as const;
const post = ['POST'] as const;
const guard = (scope: Scope | 'any' | null, methods: Guard['methods'], ...paths: readonly string[]): Guard[] =>
  paths.map((path) => ({ methods, path, scope }));

const probes: readonly Guard[] = ['/healthz', '/readyz'].map((path) => ({
  ...{ methods: null, path, scope: null, anyHost: true },
}));

/** One guard for each address and method: what the door itself serves, and every call of the control API. */
export const guards: readonly Guard[] = [
  ...probes,
  ...guard(null, get, '/', '/docs', '/console', '/console/{+page}'),
  ...guard('models:use', post, '/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses'),
  ...guard('models:use', get, '/v1/models', '/v1/models/{+name}'),
  ...guard('models:use', post, '/v1/messages', '/v1/messages/count_tokens'),
  ...guard('models:use', post, '/v1/rerank', '/v2/rerank', '/rerank'),
  ...guard('models:use', post, '/api/chat', '/api/generate', '/api/embed', '/api/embeddings', '/api/show'),
  ...guard('models:use', get, '/api/tags', '/api/ps', '/api/version'),
  ...guard('models:manage', post, '/api/pull', '/api/copy', '/api/create', '/api/push'),
  ...guard('models:manage', ['DELETE'], '/api/delete'),
  ...guard('services:use', null, '/services/{name}', '/services/{name}/{+path}'),
  ...guard('metrics:read', get, '/metrics'),
  ...guard('any', post, '/mcp'),
  ...operationIds.map((id) => {
    const { method, path, scope } = operations[id];
    return { methods: [method], path: controlBase + path, scope };
  }),
];

const literal = new Map<string, Named[]>();
const patterned: { readonly prefix: string; readonly expression: RegExp; readonly guard: Guard }[] = [];
for (const one of guards) {
  const brace = one.path.indexOf('{');
  if (brace < 0) literal.set(one.path, [...(literal.get(one.path) ?? []), { guard: one, name: null }]);
  else patterned.push({ prefix: one.path.slice(0, brace), expression: expressionOf(one.path), guard: one });
}

function expressionOf(path: string): RegExp {
  const literalDots = path.replaceAll('.', '\\.');
  return new RegExp(`^${literalDots.replace(/\{\+\w+\}/g, '(.*)').replace(/\{\w+\}/g, '([^/]+)')}$`, 's');
}

interface Named {
  readonly guard: Guard;
  /** What the first variable of the path stands for, as it was written; null without one. */
  readonly name: string | null;
}

export interface Guarded extends Named {
  /** What the address takes, where that is not the method that was asked by; else null. */
  readonly allow: readonly string[] | null;
}

/** The guard of an address; null where there is none. */
export function guardOf({ path, method }: Pick<Exchange, 'path' | 'method'>): Guarded | null {
  const found = literal.get(path) ?? ofPatterns(path);
  for (const { guard: fit, name } of found) {
    if (fit.methods === null || fit.methods.includes(method)) return { guard: fit, name, allow: null };
  }
  const [first] = found;
  return first ? { ...first, allow: found.flatMap(({ guard: { methods } }) => methods ?? []) } : null;
}

function ofPatterns(path: string): Named[] {
  const found = [];
  for (const { prefix, expression, guard: one } of patterned) {
    const match = path.startsWith(prefix) ? expression.exec(path) : null;
    if (match) found.push({ guard: one, name: match[1] ?? null });
  }
  return found;
}

/** The addresses that a mistaken one was probably meant to be near to. */
export const addressesBelow = (path: string): readonly string[] => {
  const family = /^\/[^/]+\//.exec(path)?.[0] ?? '/';
  return [...new Set(guards.map((one) => one.path).filter((one) => one.startsWith(family)))];
};
