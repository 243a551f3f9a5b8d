import { dirname, join } from 'node:path';
import type { Edge } from '#catalog/bindings';
import type { Catalog } from '#catalog/snapshot';
import { Fault } from '#kernel/faults';
import { originalOf, parseUnitId, toolOf, unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Grants } from '#runtime/grants';
import type { Wired } from '#runtime/start';
import type { Endpoint } from '#runtime/supervisor';
import type { Bindings } from '#units/bindings';

export interface WiringDeps {
  readonly bindings: Bindings;
  readonly catalog: () => Catalog;
  readonly endpoint: (unit: UnitId) => Endpoint | null;
  readonly grants: Grants;
  /** The same secret for the same names, for as long as the home is the same. */
  readonly secret: (...names: readonly string[]) => string;
  /** The door's own address. */
  readonly url: () => string;
  /** The home folder. */
  readonly home: string;
}

/** What an instance is told of what it consumes, and its own lasting secret: values for placeholders. */
export async function wiredValues(unit: UnitId, signal: AbortSignal, deps: WiringDeps): Promise<Wired> {
  const { kind, name } = parseUnitId(originalOf(unit));
  if (kind === 'model') return { values: {}, told: {} };
  const id = kind === 'job' ? toolOf(name) : name;
  const values: Record<string, string> = { secret: deps.secret('service', id) };
  const told: Record<UnitId, number> = {};
  for (const edge of deps.bindings.edges(id)) {
    const one = await wiredOf(edge, deps, signal);
    Object.assign(values, one.values);
    Object.assign(told, one.told);
  }
  return { values, told };
}

async function wiredOf(edge: Edge, deps: WiringDeps, signal: AbortSignal): Promise<Wired> {
  const { from, to, capability } = edge;
  if (capability === null) return { values: {}, told: {} };
  const grant = deps.bindings.grant(edge);
  // What speaks HTTP is reached through the door, which wakes it; what does not is reached itself, and held awake.
  if (!grant) return { values: { [`${capability}.url`]: `${deps.url()}/services/${to}` }, told: {} };
  const { catalog, endpoint, secret, home } = deps;
  const provider = unitId('service', to);
  const at = endpoint(provider);
  const path = catalog().services.get(to)?.path;
  if (!at || path === undefined) throw new Fault('START_FAILED', `${to}, which provides ${capability}, does not run`);
  const place = {
    ...{ provider: to, consumer: from, capability, host: at.host, port: at.port },
    ...{ dataDir: join(home, 'services', to), serviceDir: join(dirname(path), to) },
    ...{ secret: secret('service', to), accountSecret: secret('account', to, from) },
  };
  return { values: await deps.grants.make(grant, place, signal), told: { [provider]: at.port } };
}
