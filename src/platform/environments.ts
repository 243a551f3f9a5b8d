import { withCuda } from '#catalog/service';
import type { Catalog } from '#catalog/snapshot';
import type { EnvironmentDesk } from '#edge/environment-routes';
import type { Environments } from '#runtime/environments/environments';
import type { Records } from '#runtime/records';

export interface EnvironmentDeskDeps {
  readonly environments: Pick<Environments, 'find' | 'list' | 'prune'>;
  readonly catalog: () => Pick<Catalog, 'services'>;
  readonly records: Pick<Records, 'list'>;
}

/** What a home holds of packages, by who runs from them. */
export function createEnvironmentDesk({ environments, catalog, records }: EnvironmentDeskDeps): EnvironmentDesk {
  /** Definitions by environment. With a graphics card an engine may have another one beside its usual one. */
  const users = (): Map<string, Set<string>> => {
    const all = new Map<string, Set<string>>();
    for (const { definition } of catalog().services.values()) {
      const run = definition.run.process;
      for (const way of run ? [run, withCuda(run)] : []) {
        const id = environments.find(way);
        if (id !== null) all.set(id, (all.get(id) ?? new Set()).add(definition.id));
      }
    }
    return all;
  };
  const instancesOf = (id: string) =>
    records
      .list()
      .filter(({ environment }) => environment === id)
      .map(({ unit }) => unit);
  return {
    async list() {
      const used = users();
      const { environments: all, bytes } = await environments.list();
      const named = all.map(({ builtAt, ...one }) => ({
        ...{ ...one, builtAt: new Date(builtAt).toISOString() },
        ...{ users: [...(used.get(one.id) ?? [])], instances: instancesOf(one.id) },
      }));
      return { environments: named, bytes };
    },
    async prune(dryRun) {
      const running = records.list().flatMap(({ environment }) => environment ?? []);
      return { dryRun, ...(await environments.prune([...users().keys(), ...running], { dryRun })) };
    },
  };
}
