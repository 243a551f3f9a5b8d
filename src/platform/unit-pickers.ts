import type { Catalog } from '#catalog/snapshot';
import type { Config } from '#config/static';
import type { UpstreamSettings } from '#config/upstreams';
import type { Clock } from '#kernel/clock';
import type { Closers } from '#kernel/closers';
import { parseUnitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { createPickers } from '#routing/pickers';
import type { Pickers } from '#routing/pickers';
import type { Units } from '#units/units';
import { checkHealth } from './health.ts';
import { overHttp2, policyOf } from './policies.ts';
import type { Said } from './policies.ts';

/** The pickers of the platform's units, by what their definitions and the configuration say now. */
export function unitPickers(
  catalog: () => Catalog,
  config: () => Config,
  units: PickedUnits,
  clock: Clock,
  closers: Closers,
): Pickers {
  const pickers = createPickers({
    clock,
    policy: (unit) => {
      const policy = policyOf(saidOf(unit, catalog(), config(), units));
      return units.protocol(unit) === 'h2c' ? overHttp2(policy) : policy;
    },
    check: ({ target }, health, signal) => checkHealth(target, health, clock, signal),
  });
  closers.add(() => pickers.close());
  return pickers;
}

type PickedUnits = Pick<Units, 'externalUrl' | 'protocol' | 'remote'>;

function saidOf(unit: UnitId, catalog: Catalog, config: Config, units: PickedUnits): Said {
  const { kind, name } = parseUnitId(unit);
  const { services, models } = config;
  if (kind === 'model') {
    const remote = units.remote(name);
    return { elsewhere: remote && {}, settings: { ...remote?.places, ...models.settings[name]?.traffic } };
  }
  const { url, ...defined } = catalog.services.get(name)?.definition.run.external ?? {};
  const own = services[name]?.traffic ?? {};
  if (units.externalUrl(unit) === null) return { elsewhere: null, settings: own };
  const settings: UpstreamSettings = { ...defined, ...own };
  return { elsewhere: { protocol: units.protocol(unit), ...(url !== undefined && { url }) }, settings };
}
