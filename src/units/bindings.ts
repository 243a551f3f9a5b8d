import { boundTo, doorCapabilities, edgesOf, tellWay, wayBetween } from '#catalog/bindings';
import type { Edge } from '#catalog/bindings';
import type { Grant } from '#catalog/service';
import type { Catalog } from '#catalog/snapshot';
import { Fault } from '#kernel/faults';
import type { UnitSettings } from './settings.ts';

/** Who consumes what of whom, as the catalogue and the configuration are at each call. */
export interface Bindings {
  /** What a service depends on. */
  edges(service: string): readonly Edge[];
  /** How the account of what is consumed is made; undefined for what is reached through the door. */
  grant(edge: Edge): Grant | undefined;
  /**
   * The services that must be ready before it starts, in this order. Throws START_FAILED where it would wait for itself, and
   * NOT_FOUND where the configuration names a provider that is none.
   */
  before(service: string): readonly string[];
}

export interface BindingsDeps {
  readonly catalog: () => Catalog;
  readonly settings: () => Pick<UnitSettings, 'service' | 'bindings'>;
  /** Whether a service can run here. */
  readonly canRun: (service: string) => boolean;
}

export function createBindings(deps: BindingsDeps): Bindings {
  const choice = (consumer: string, capability: string) => {
    const { service, bindings } = deps.settings();
    return service(consumer).bindings?.[capability] ?? bindings?.[capability];
  };
  const definitions = () => [...deps.catalog().services.values()].map(({ definition }) => definition);
  const edges = (id: string): readonly Edge[] => {
    const definition = deps.catalog().services.get(id)?.definition;
    return definition ? edgesOf(definition, definitions(), choice, deps.canRun) : [];
  };
  const grant = ({ to, capability }: Edge): Grant | undefined => {
    const grants = deps.catalog().services.get(to)?.definition.grants;
    return capability !== null && grants && Object.hasOwn(grants, capability) ? grants[capability] : undefined;
  };
  const mustBeBound = (id: string): void => {
    for (const capability of Object.keys(deps.catalog().services.get(id)?.definition.consumes ?? {})) {
      if (doorCapabilities.includes(capability)) continue;
      if (boundTo(capability, id, definitions(), choice, deps.canRun)) continue;
      const named = choice(id, capability) ?? 'nothing';
      throw new Fault(
        'NOT_FOUND',
        `${id} consumes ${capability}, which sutaz.yaml binds to ${named}: that does not provide it`,
      );
    }
  };
  return {
    edges,
    grant,
    before(id) {
      mustBeBound(id);
      const first = edges(id).filter((edge) => edge.capability === null || grant(edge) !== undefined);
      for (const edge of first) {
        const rest = wayBetween(edge.to, id, edges);
        if (rest) throw new Fault('START_FAILED', `it would wait for itself: ${tellWay([edge, ...rest])}`);
      }
      return [...new Set(first.map(({ to }) => to))];
    },
  };
}
