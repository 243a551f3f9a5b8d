import { doorCapabilities } from '#catalog/bindings';
import type { Edge } from '#catalog/bindings';
import type { ServiceDefinition } from '#catalog/service';
import type { ApiUnit } from '#contracts/api';
import type { ApiMap, ApiMapEdge, ApiMapNode, ApiShared } from '#contracts/map-api';
import { asksModels } from './instance-rights.ts';
import type { Use, Uses } from './uses.ts';

export interface DependencyMapDeps {
  readonly services: () => Iterable<ServiceDefinition>;
  /** What a service depends on, by its id. */
  readonly edges: (service: string) => readonly Edge[];
  /** Whether an account is made at the provider, and the consumer asks it itself. */
  readonly isDirect: (edge: Edge) => boolean;
  readonly uses: Uses;
  /** Null for what the scheduler does not know, and nobody may ask for. */
  readonly unit: (id: string) => Pick<ApiUnit, 'state' | 'bytes' | 'instance'> | null;
  /** The key of the instance that runs now. */
  readonly key: (id: string) => string | null;
}

/** The node of the platform itself, which provides models and its numbers. */
const door = 'door';

/** Who consumes what of whom: as it is bound, and as it was asked. */
export function dependencyMap(deps: DependencyMapDeps): ApiMap {
  const definitions = [...deps.services()];
  const kinds = new Map(definitions.map(({ id, kind }) => [id, kind]));
  const idOf = (service: string): string =>
    `${kinds.get(service) === 'server' ? 'service' : kinds.get(service)}/${service}`;
  const used = new Map(deps.uses.list().map((use) => [`${use.from} ${use.to}`, use]));
  const bound = definitions.flatMap((definition) => boundEdges(definition, idOf, used, deps));
  const known = new Set(bound.map(({ from, to }) => `${from} ${to}`));
  const asked = [...used.values()]
    .filter(({ from, to }) => !known.has(`${from} ${to}`))
    .map((use) => askedEdge(use, deps));
  const edges = [...bound, ...asked];
  const ids = new Set(edges.flatMap(({ from, to }) => [from, to]));
  return {
    since: new Date(deps.uses.since).toISOString(),
    nodes: [...ids].map((id) => nodeOf(id, deps)),
    edges,
    shared: sharedOf(edges, deps),
  };
}

function boundEdges(
  definition: ServiceDefinition,
  idOf: (service: string) => string,
  used: ReadonlyMap<string, Use>,
  deps: DependencyMapDeps,
): ApiMapEdge[] {
  const from = idOf(definition.id);
  const ofServices = deps.edges(definition.id).map((edge): ApiMapEdge => {
    const to = idOf(edge.to);
    // What is only needed may be asked as well: there is one address for it.
    const use = used.get(`${from} ${to}`);
    const direct = deps.isDirect(edge);
    return {
      ...{ from, to, capability: edge.capability, way: direct ? 'direct' : 'door', key: keyOf(from, deps) },
      ...(direct ? { requests: null, lastSeen: null } : seen(use)),
    };
  });
  const told = doorCapabilities.filter((name) => Object.hasOwn(definition.consumes, name));
  // Whoever is told the address of the models in another way asks them, too.
  const atDoor = asksModels(definition) ? [...new Set(['openai', ...told])] : told;
  const ofDoor = atDoor.map((capability): ApiMapEdge => ({
    ...{ from, to: door, capability, way: 'door', key: keyOf(from, deps) },
    // What was asked there are edges of their own, to each model.
    ...{ requests: null, lastSeen: null },
  }));
  return [...ofServices, ...ofDoor];
}

const askedEdge = (use: Use, deps: DependencyMapDeps): ApiMapEdge => ({
  ...{ from: use.from, to: use.to, capability: use.to.startsWith('model/') ? 'openai' : null, way: 'door' },
  ...{ ...seen(use), key: keyOf(use.from, deps) },
});

const seen = (use: Use | undefined): Pick<ApiMapEdge, 'requests' | 'lastSeen'> => ({
  requests: use?.requests ?? 0,
  lastSeen: use ? new Date(use.lastAt).toISOString() : null,
});

/** Enough to tell two keys apart, and 24 bits of 256: nothing to guess the rest from. */
const shownOfKey = 'sutaz-i-'.length + 4;

const keyOf = (id: string, { key }: DependencyMapDeps): string | null => key(id)?.slice(0, shownOfKey) ?? null;

function nodeOf(id: string, { unit }: DependencyMapDeps): ApiMapNode {
  if (id === door) return { id, kind: 'door', name: 'the platform', state: null };
  const slash = id.indexOf('/');
  const kind = id.slice(0, slash) as ApiMapNode['kind'];
  return { id, kind, name: id.slice(slash + 1), state: unit(id)?.state ?? null };
}

/** By who runs now: what sleeps holds nothing, and would not with a provider of its own either. */
function sharedOf(edges: readonly ApiMapEdge[], { unit }: DependencyMapDeps): ApiShared[] {
  const providers = new Map<string, Set<string>>();
  for (const { from, to, way } of edges) {
    if (way !== 'direct') continue;
    const users = providers.get(to) ?? new Set();
    if (unit(from)?.instance) users.add(from);
    providers.set(to, users);
  }
  return [...providers].flatMap(([provider, users]) => {
    const { measured, reserved } = unit(provider)?.bytes ?? { measured: null, reserved: 0 };
    const bytes = measured ?? reserved;
    if (users.size === 0) return [];
    return { provider, users: [...users], bytes, sparedBytes: bytes * (users.size - 1) };
  });
}
