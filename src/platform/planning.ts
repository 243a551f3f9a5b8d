import type { ApiPlan } from '#contracts/explanations';
import { Fault } from '#kernel/faults';
import { parseUnitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { State } from '#scheduler/state';
import type { Bindings } from '#units/bindings';
import type { Directory } from '#units/directory';
import { planTogether } from '#units/together';
import type { Units } from '#units/units';
import { needsOf } from './needs.ts';

export interface PlanningDeps {
  readonly directory: Directory;
  readonly bindings: Pick<Bindings, 'before'>;
  readonly units: Pick<Units, 'externalUrl' | 'unusable' | 'plans'>;
  readonly state: State;
  readonly now: number;
  readonly limit: { readonly bytes: number; readonly reason: string };
}

/**
 * Whether what is named can be awake together. Throws NOT_FOUND for a name that is not there, with the nearest ones, and
 * CONFLICT for one that cannot run on this machine or needs what cannot.
 */
export function planNamed(names: readonly string[], deps: PlanningDeps): ApiPlan {
  const { directory, bindings, units, state, now, limit } = deps;
  const usable = (unit: UnitId, by: UnitId | null): UnitId => {
    if (state.units.has(unit) || units.externalUrl(unit) !== null) return unit;
    const why = units.unusable(parseUnitId(unit).name) ?? 'unknown';
    throw new Fault('CONFLICT', `${by ? `${by} needs ${unit}, which` : unit} cannot run here: ${why}`);
  };
  return planTogether({
    ...{ state, now, limitBytes: limit.bytes, limitReason: limit.reason },
    asked: names.map((name) => usable(directory.unit(name), null)),
    isGuess: (unit) => parseUnitId(unit).kind === 'model' && units.plans.of(parseUnitId(unit).name) === null,
    needs: (unit) => needsOf(unit, directory, bindings.before).map((need) => usable(need, unit)),
  });
}
