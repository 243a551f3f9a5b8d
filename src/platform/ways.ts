import type { Catalog } from '#catalog/snapshot';
import type { StateStore } from '#contracts/state';
import type { UnitSettings } from '#units/settings';

/** The ways of running a service that both keep its data in the home. */
export const movable = ['process', 'docker'] as const;
export type Way = (typeof movable)[number];

/** By which way each service runs that was moved. What the configuration says of one comes before. */
export interface Ways {
  of(service: string): Way | null;
  /** From now on; it is not remembered over a restart until it is kept. */
  try(service: string, way: Way): void;
  keep(service: string): void;
  /** What was tried counts no more. */
  drop(service: string): void;
}

export function openWays(state: StateStore): Ways {
  const table = state.table<Way>('ways');
  const tried = new Map<string, Way>();
  return {
    of: (service) => tried.get(service) ?? table.get(service),
    try: (service, way) => void tried.set(service, way),
    keep(service) {
      const way = tried.get(service);
      if (way) table.put(service, way);
      tried.delete(service);
    },
    drop: (service) => void tried.delete(service),
  };
}

/** The settings of units, with the ways that services were moved to. One that its definition no longer has is passed over. */
export const withWays = (
  settings: UnitSettings,
  ways: Pick<Ways, 'of'>,
  catalog: () => Pick<Catalog, 'services'>,
): UnitSettings => ({
  ...settings,
  service(id) {
    const own = settings.service(id);
    const way = own.run === undefined ? ways.of(id) : null;
    return way !== null && catalog().services.get(id)?.definition.run[way] ? { ...own, run: way } : own;
  },
});
