import { toFault } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import type { Gguf } from '#models/gguf';
import { largestContext, planMemory } from '#models/plan';
import type { MemoryPlan, PlanOptions } from '#models/plan';
import type { ModelStore } from '#models/store';
import { readUsable } from '#models/usable';
import type { Shape } from './model-unit.ts';

/** What a model needs in memory, read from its file. */
export interface PlannedModel {
  readonly header: Gguf;
  readonly plan: MemoryPlan;
  /** How the engine runs it: what the plan was made with. */
  readonly options: PlanOptions;
  /** As asked, but no longer a context than the model was made for. */
  readonly shape: Shape;
}

export interface Plans {
  /** Null until its file is here. */
  of(model: string): PlannedModel | null;
  /** Reads the file's header when it or the shape has changed since. Throws when the file is damaged. */
  refresh(model: string): Promise<void>;
  /** The same, and a damaged file is only warned of: it is told when someone asks for the model. */
  tryRefresh(model: string): Promise<void>;
}

/** Tokens the embedded engine evaluates at once (`catalog/services/llama/config.ts`): small, so that a client who leaves is noticed soon. */
const batch = 32;
/** Bytes that it keeps snapshots of a slot in (`catalog/services/llama/engine.ts`). */
const checkpoints = 32 * 2 ** 20;

/** The memory plans of the models that are here, each made once for a file and a shape. */
export function createPlans(
  store: Pick<ModelStore, 'get'>,
  shape: (model: string) => Shape,
  log: Logger,
  /** Other files have no header to plan from: such a model has no plan. */
  isGguf: (model: string) => boolean = () => true,
): Plans {
  const plans = new Map<string, PlannedModel & { readonly sha256: string; readonly asked: Shape }>();
  const refresh = async (model: string): Promise<void> => {
    const stored = store.get(model);
    const before = plans.get(model);
    if (!stored || !isGguf(model)) return void plans.delete(model);
    const sameFile = before?.sha256 === stored.sha256;
    if (sameFile && isSame(before.asked, shape(model))) return;
    const header = sameFile ? before.header : await readUsable(stored.path);
    // Another file came, or it went, while this one was read: whoever brought that reads it, too.
    if (store.get(model)?.sha256 !== stored.sha256) return;
    const asked = shape(model);
    // A header that does not say what it was made for is taken at the user's word.
    const context = Math.min(asked.context, header.contextLength || asked.context);
    const options = { contextPerSlot: context, slots: asked.slots, batch, checkpoints };
    const plan = planMemory(header, options);
    plans.set(model, { sha256: stored.sha256, asked, header, plan, options, shape: { ...asked, context } });
  };
  return {
    of: (model) => plans.get(model) ?? null,
    refresh,
    tryRefresh: (model) =>
      refresh(model).catch((error: unknown) =>
        log.warn('a model could not be read', { model, error: toFault(error).message }),
      ),
  };
}

const isSame = (a: Shape, b: Shape): boolean => a.context === b.context && a.slots === b.slots;

/** The longest context, for each of the slots, with which a model stays within so many bytes; null when none does. */
export const contextWithin = (
  { header, options }: Pick<PlannedModel, 'header' | 'options'>,
  bytes: number,
): number | null => largestContext(header, bytes, options);
