import { dirname, join } from 'node:path';
import type { Defined } from '#catalog/snapshot';
import type { ModelDefinition } from '#catalog/model';
import { withCuda } from '#catalog/service';
import type { ServiceDefinition } from '#catalog/service';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import type { Blueprint } from '#runtime/blueprint';
import { oomScoreAdj } from '#runtime/oom';
import type { UnitSpec } from '#scheduler/types';
import type { Learned } from './learned.ts';
import { cardVariables } from './placement.ts';
import type { Card, Placement } from './placement.ts';
import type { ModelSettings, UnitSettings } from './settings.ts';
import { consumed, rungsOf } from './service-unit.ts';

/** How large a model is loaded: what its memory depends on beside its file. */
export interface Shape {
  /** Tokens for each request. */
  readonly context: number;
  /** Requests at once. */
  readonly slots: number;
}

/**
 * The context and the slots a model is loaded with: its own setting, else the general one, else its definition's. What an ONNX
 * model was made for only its definition tells, so that a longer context is never asked of it.
 */
export function shapeOf(
  definition: ModelDefinition,
  own: ModelSettings,
  general: UnitSettings,
  models: ServiceDefinition['models'] = 'gguf',
): Shape {
  const context = own.context ?? general.context ?? definition.context;
  return {
    context: models === 'onnx' ? Math.min(context, definition.context) : context,
    slots: own.slots ?? general.slots ?? definition.slots,
  };
}

/** Under what is learned of it kept: another engine weighs something else, and what is on a card is not in main memory. */
export const learnedKey = (
  definition: ModelDefinition,
  engine: string,
  { context, slots }: Shape,
  on: { readonly layers: number; readonly card: Pick<Card, 'id'> } | null = null,
): string =>
  `model/${definition.id}?context=${context}&slots=${slots}` +
  `${engine === 'llama' ? '' : `&engine=${engine}`}${on ? `&gpu=${on.layers}@${on.card.id}` : ''}`;

/** What the scheduler must know of a model. `plannedBytes` comes from its file's header, null until it is here. */
export function modelSpec(
  definition: ModelDefinition,
  engine: ServiceDefinition,
  settings: ModelSettings,
  facts: {
    readonly shape: Shape;
    readonly plannedBytes: number | null;
    /** How much of it is on a graphics card; null for nothing. */
    readonly placement?: Placement | null;
    /** With which the engine computes. */
    readonly threads?: number;
    readonly learned: Learned;
    readonly canFreeze: boolean;
  },
): UnitSpec {
  // What it takes elsewhere would stay there while the process that stands for it is frozen, and could not be asked for.
  const holdsElsewhere = engine.weight !== undefined;
  const isElsewhere = engine.models === 'remote' && !holdsElsewhere;
  const rung = settings.idle?.rung ?? definition.idle.rung ?? engine.idle.rung ?? 'auto';
  return {
    id: unitId('model', definition.id),
    tier: 'on-demand',
    priority: settings.priority ?? definition.priority,
    declaredBytes: facts.placement?.ramBytes ?? facts.plannedBytes ?? definition.size + engine.resources.memory,
    learnedAs: learnedKey(definition, engine.id, facts.shape, facts.placement),
    learnedBytes: facts.learned.bytes,
    slots: facts.shape.slots,
    idleAfterMs: settings.idle?.after ?? definition.idle.after ?? engine.idle.after ?? 10 * 60_000,
    idleRung: holdsElsewhere ? 'cold' : rung,
    startMs: facts.learned.startMs,
    rungs: rungsOf(facts.learned, facts.canFreeze && !holdsElsewhere),
    prewarm: engine.needs.length === 0,
    replicas: settings.replicas ?? definition.replicas,
    vram: facts.placement ? { device: facts.placement.card.id, bytes: facts.placement.vramBytes } : undefined,
    learnedVram: facts.learned.vramBytes ?? null,
    threads: isElsewhere ? 0 : (facts.threads ?? 0),
  };
}

/** How an engine is run for one model. */
export function modelBlueprint(
  { definition }: Defined<ModelDefinition>,
  engine: Defined<ServiceDefinition>,
  facts: {
    readonly shape: Shape;
    readonly path: string;
    readonly threads: number;
    /** Variables of this model's own: the key of the server that has it. */
    readonly env?: Readonly<Record<string, string>>;
    readonly placement?: Placement | null;
    readonly cards?: readonly Card[];
    /** What the settings say instead of the definition. */
    readonly priority?: number | undefined;
    /** Where the engine runs, when a model does not say where it is. */
    readonly url?: string | undefined;
    /** The folders of the views that the engine is told of, as placeholders: `view.ollama`. */
    readonly views?: Readonly<Record<string, string>>;
  },
  home: string,
): Blueprint {
  const { run, health, stop } = engine.definition;
  if (!run.process) throw new Fault('NOT_SUPPORTED', `The engine ${engine.definition.id} cannot run as a process.`);
  return {
    unit: unitId('model', definition.id),
    run: facts.placement ? withCuda(run.process) : run.process,
    health,
    startupTimeoutMs: health.startupTimeout ?? 120_000,
    stopGraceMs: stop.grace ?? 10_000,
    oomScoreAdj: oomScoreAdj('on-demand', facts.priority ?? definition.priority),
    cpu: facts.threads,
    serviceDir: join(dirname(engine.path), engine.definition.id),
    dataDir: join(home, 'services', engine.definition.id),
    env: {
      ...cardVariables(facts.placement?.card ?? null, facts.cards ?? []),
      ...consumed(engine.definition),
      ...facts.env,
    },
    ...(engine.definition.weight && { weight: engine.definition.weight.http }),
    values: {
      'model.path': facts.path,
      'model.id': definition.id,
      'model.context': String(facts.shape.context),
      'model.slots': String(facts.shape.slots),
      // What all slots hold together: some engines are told that instead.
      'model.tokens': String(facts.shape.context * facts.shape.slots),
      'model.url': definition.remote?.url ?? facts.url ?? '',
      'model.remote': definition.remote?.model ?? definition.id,
      'model.keyFile': definition.remote?.keyFile ?? '',
      'model.gpuLayers': String(facts.placement?.layers ?? 0),
      threads: String(facts.threads),
      ...facts.views,
    },
  };
}
