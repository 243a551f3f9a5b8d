import { cacheBytesOfLayers, computeBytes, planMemory, tensorCopies } from './plan.ts';
import type { PlannedModel, PlanOptions } from './plan.ts';

/** How much of a model is on a graphics card, and what it then takes of each memory, in bytes. */
export interface Offload {
  /** As llama.cpp counts them (`n_gpu_layers`): first the output, then the layers from the last one on. 0: nothing. */
  readonly layers: number;
  /** Whether that is all that can be. */
  readonly whole: boolean;
  readonly ramBytes: number;
  readonly vramBytes: number;
}

/**
 * What the driver and the library take on a card before any model is there: their context, code and scratch. Taken from
 * what others report for CUDA, not measured here; what is measured on the card takes its place.
 */
const contextBytes = 448 * 2 ** 20;

/** With so many layers on the card. */
export function offloadOf(model: PlannedModel, options: PlanOptions, layers: number): Offload {
  const parts = partsOf(model, options);
  const count = Math.min(layers, parts.length);
  const { total } = planMemory(model, options);
  if (count <= 0) return { layers: 0, whole: false, ramBytes: total, vramBytes: 0 };
  const moved = parts.slice(0, count);
  const sum = (of: (part: Part) => number) => moved.reduce((all, part) => all + of(part), 0);
  return {
    layers: count,
    whole: count === parts.length,
    ramBytes: Math.max(0, total - sum(({ ram }) => ram)),
    vramBytes: contextBytes + bufferBytes(model, options) + sum(({ vram }) => vram),
  };
}

/** As many layers as fit into so many bytes of a card. The output alone is not worth the card's context. */
export function planOffload(model: PlannedModel, options: PlanOptions, cardBytes: number): Offload {
  const none = offloadOf(model, options, 0);
  // A file with tensors of a type that nobody here knows does not say what a layer weighs.
  if (model.tensors.some(({ bytes }) => bytes === null)) return none;
  for (let layers = model.layers.length + 1; layers > 1; layers--) {
    const offload = offloadOf(model, options, layers);
    if (offload.vramBytes <= cardBytes) return offload;
  }
  return none;
}

/** What one step of offloading takes off main memory and puts on the card. */
interface Part {
  readonly ram: number;
  readonly vram: number;
}

/** The output, then the layers from the last one on: the order of `load_tensors` in llama.cpp's llama-model.cpp. */
function partsOf(model: PlannedModel, options: PlanOptions): readonly Part[] {
  const caches = cacheBytesOfLayers(model, options);
  const layers = caches.map((cache) => ({ weights: 0, copies: 0, cache }));
  let [output, outputCopies, table] = [0, 0, 0];
  for (const tensor of model.tensors) {
    const bytes = tensor.bytes ?? 0;
    const layer = layers[Number(/^blk\.(\d+)\./.exec(tensor.name)?.[1] ?? -1)];
    if (layer) {
      layer.weights += bytes;
      layer.copies += tensorCopies(tensor, options);
    } else if (tensor.name.startsWith('output')) {
      output += bytes;
      outputCopies += tensorCopies(tensor, options);
    } else if (tensor.name.startsWith('token_embd.')) table += bytes;
  }
  const hasOwn = model.tensors.some(({ name }) => name.startsWith('output.'));
  // Where the table of tokens is the output too, the card gets a copy of it: rows are looked up in main memory.
  const first: Part = { ram: output + outputCopies, vram: output + (hasOwn ? 0 : table) };
  const rest = layers.map(({ weights, copies, cache }) => ({ ram: weights + copies + cache, vram: weights + cache }));
  return [first, ...rest.reverse()];
}

/**
 * The buffer that the card computes in. What is reserved there is taken at once, unlike in main memory: also the logits of a
 * whole batch.
 */
const bufferBytes = (model: PlannedModel, options: PlanOptions): number =>
  computeBytes(model, options) + Math.min(options.batch ?? 512, options.contextPerSlot) * model.vocabSize * 4;
