import type { ApiModelDetails } from '#contracts/api';
import type { ApiModelVersion } from '#contracts/store-api';
import { unitId } from '#kernel/ids';
import type { ModelStore } from '#models/store';
import type { Scheduler } from '#scheduler/run-loop';
import { contextWithin } from '#units/plans';
import type { Units } from '#units/units';

export interface FactsDeps {
  readonly models: ModelStore;
  readonly units: Pick<Units, 'plans' | 'placement'>;
  readonly scheduler: Pick<Scheduler, 'state'>;
}

type Facts = Pick<ApiModelDetails, 'estimate' | 'fit' | 'versions'>;

/** What is known of a model's file and memory beyond its definition: plan beside measurement, what fits, what was. */
export async function modelFacts(id: string, { models, units, scheduler }: FactsDeps): Promise<Facts> {
  const planned = units.plans.of(id);
  const unit = scheduler.state.units.get(unitId('model', id));
  const measured = Math.max(unit?.learnedBytes ?? 0, unit?.measuredBytes ?? 0) || null;
  const { limitBytes } = scheduler.state;
  return {
    // Measured is main memory: what is on a card is not in it.
    estimate: planned && estimateOf(units.placement(unitId('model', id))?.ramBytes ?? planned.plan.total, measured),
    fit: planned && { limitBytes, context: contextWithin(planned, limitBytes) },
    versions: models.get(id) ? await versionViews(id, models) : [],
  };
}

export const estimateOf = (plannedBytes: number, measuredBytes: number | null): Facts['estimate'] => ({
  plannedBytes,
  measuredBytes,
  errorPercent:
    measuredBytes === null ? null : Math.round(((plannedBytes - measuredBytes) / measuredBytes) * 1_000) / 10,
});

export async function versionViews(id: string, models: ModelStore): Promise<readonly ApiModelVersion[]> {
  return (await models.versions(id)).map(({ sha256, bytes, source, pulledAt, present, here }) => ({
    ...{ sha256, bytes, source, present, here },
    pulledAt: new Date(pulledAt).toISOString(),
    damage: models.damage(sha256)?.reason ?? null,
  }));
}
