import type { ModelDefinition } from '#catalog/model';
import { unitId } from '#kernel/ids';
import { offloadOf, planOffload } from '#models/offload';
import { engineFor } from './directory.ts';
import type { Directory } from './directory.ts';
import type { LearnedStore } from './learned.ts';
import { learnedKey } from './model-unit.ts';
import type { Shape } from './model-unit.ts';
import type { Card, Fit, Placement, Placements } from './placement.ts';
import type { Plans } from './plans.ts';
import { cardBytesOf } from './service-unit.ts';
import type { UnitSettings } from './settings.ts';

export interface PlacingDeps {
  readonly directory: Directory;
  readonly settings: () => UnitSettings;
  readonly learned: LearnedStore;
  readonly plans: Plans;
  readonly placements: Placements;
  /** The graphics cards there are now. */
  readonly cards: () => readonly Card[];
  readonly cores: number;
}

/**
 * Engines' threads wait for one another by spinning: with one for each core, whatever else runs makes all of them wait. What
 * is on a card as a whole leaves one to feed it.
 */
export const threadsOf = (
  placement: Placement | null,
  { settings, cores }: Pick<PlacingDeps, 'settings' | 'cores'>,
): number => (placement?.whole ? 1 : (settings().threads ?? Math.max(1, cores - 1)));

/** What a card takes of a model, by its file; nothing before that is here. */
export function placeModel(definition: ModelDefinition, shape: Shape, deps: PlacingDeps): Placement | null {
  const { settings, learned, plans, placements } = deps;
  const unit = unitId('model', definition.id);
  const use = settings().model(definition.id).gpu ?? settings().gpu ?? 'auto';
  const planned = plans.of(definition.id);
  const hasNone = use === 'off' || engineFor(definition, deps).resources.gpu === 'none';
  if (hasNone || !planned) return placements.place(unit, () => null);
  const { header, options } = planned;
  const placed = placements.place(unit, (card) => {
    let offload = planOffload(header, options, card.limitBytes);
    // What was measured there before overrules the plan.
    const seen = (layers: number) =>
      learned.of(learnedKey(definition, engineFor(definition, deps).id, shape, { layers, card })).vramBytes ?? 0;
    while (offload.layers > 1 && seen(offload.layers) > card.limitBytes) {
      offload = offloadOf(header, options, offload.layers - 1);
    }
    if (offload.layers <= 1 || (use === 'required' && !offload.whole)) return null;
    return offload;
  });
  if (placed || use !== 'required') return placed;
  // It is not to run elsewhere: whoever asks for it is told what it lacks.
  const card = deps.cards()[0] ?? { id: 'gpu0', uuid: '', limitBytes: 0 };
  return { ...offloadOf(header, options, header.layers.length + 1), card };
}

/** What a card takes of a service: all that it is said to hold there, or nothing. */
export function placeService(id: string, { directory, settings, placements }: PlacingDeps): Placement | null {
  const { definition } = directory.service(id);
  const own = settings().service(id);
  const vramBytes = cardBytesOf(definition, own);
  const required = definition.resources.gpu === 'required' || own.gpu === 'required';
  const fit: Fit = { vramBytes, layers: 1, ramBytes: null, whole: true };
  return placements.place(unitId('service', id), (card) =>
    vramBytes > 0 && (required || vramBytes <= card.limitBytes) ? fit : null,
  );
}
