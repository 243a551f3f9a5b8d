import type { ServiceDefinition } from './service.ts';

/** Capabilities the door itself provides, so that a service may consume them without another service: models, and its numbers. */
export const doorCapabilities: readonly string[] = ['openai', 'metrics'];

/** The service that `sutaz.yaml` names for a capability; undefined where it says nothing. */
export type Choice = (consumer: string, capability: string) => string | undefined;

/** Why one service depends on another. */
export interface Edge {
  readonly from: string;
  readonly to: string;
  /** What is consumed; null where it is only needed. */
  readonly capability: string | null;
}

const chooseNothing: Choice = () => undefined;

/**
 * Who may provide a capability to a service, the best first: the one that is named after it, then by id. Never itself: what
 * passes models on provides what it consumes.
 */
export function providersOf(
  capability: string,
  consumer: string,
  services: Iterable<ServiceDefinition>,
): ServiceDefinition[] {
  const rank = (id: string): number => Number(id !== capability && !capability.endsWith(`.${id}`));
  return [...services]
    .filter(({ id, kind, provides }) => kind === 'server' && id !== consumer && provides.includes(capability))
    .sort((a, b) => rank(a.id) - rank(b.id) || (a.id < b.id ? -1 : 1));
}

/** Which of them it is bound to: the one chosen, else the first that can run. Undefined where none is. */
export function boundTo(
  capability: string,
  consumer: string,
  services: Iterable<ServiceDefinition>,
  choice: Choice = chooseNothing,
  canRun: (id: string) => boolean = () => true,
): ServiceDefinition | undefined {
  const providers = providersOf(capability, consumer, services);
  const chosen = choice(consumer, capability);
  if (chosen !== undefined) return providers.find(({ id }) => id === chosen);
  return providers.find(({ id }) => canRun(id)) ?? providers[0];
}

/** What a service depends on, by what it needs and by what it consumes of other services. */
export function edgesOf(
  definition: ServiceDefinition,
  services: readonly ServiceDefinition[],
  choice?: Choice,
  canRun?: (id: string) => boolean,
): Edge[] {
  const { id: from, needs, consumes } = definition;
  const consumed = Object.keys(consumes).flatMap((capability) => {
    if (doorCapabilities.includes(capability)) return [];
    const provider = boundTo(capability, from, services, choice, canRun);
    return provider ? [{ from, to: provider.id, capability }] : [];
  });
  return [...needs.map((to) => ({ from, to, capability: null })), ...consumed];
}

/** The way by which `from` depends on `to`, each step in words; null where it does not. */
export function wayBetween(
  from: string,
  to: string,
  edges: (id: string) => readonly Edge[],
  seen = new Set<string>(),
): readonly Edge[] | null {
  if (from === to) return [];
  if (seen.has(from)) return null;
  seen.add(from);
  for (const edge of edges(from)) {
    const rest = wayBetween(edge.to, to, edges, seen);
    if (rest) return [edge, ...rest];
  }
  return null;
}

/** `a needs b consumes postgres of c`. */
export const tellWay = (way: readonly Edge[]): string =>
  way.reduce(
    (text, { to, capability }) => `${text} ${capability === null ? 'needs' : `consumes ${capability} of`} ${to}`,
    way[0]?.from ?? '',
  );

/** What a consumer may be told of each capability: `postgres.url`, `postgres.user`. */
export function* wiredNames(services: Iterable<ServiceDefinition>): Generator<string> {
  for (const name of doorCapabilities) yield `${name}.url`;
  for (const { provides, grants = {} } of services) {
    for (const name of provides) {
      const granted = Object.hasOwn(grants, name) ? grants[name] : undefined;
      for (const value of granted ? Object.keys(granted.values) : ['url']) yield `${name}.${value}`;
    }
  }
}
