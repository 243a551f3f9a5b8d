import type { Gguf, TensorInfo } from './gguf.ts';
import { tensorTypes } from './gguf-types.ts';

/** What the cache may be kept in. Anything but f16 saves memory and costs a little quality. */
export type KvType = 'f32' | 'f16' | 'bf16' | 'q8_0' | 'q5_1' | 'q5_0' | 'q4_1' | 'q4_0' | 'iq4_nl';

/** How an engine is going to run a model. What is left out is what the embedded engine does. */
export interface PlanOptions {
  /** Tokens for each request, prompt and answer together. */
  readonly contextPerSlot: number;
  /** Requests generated at once, each with a cache of its own. */
  readonly slots: number;
  readonly kvType?: KvType;
  /** Tokens of a prompt computed at once. */
  readonly batch?: number;
  readonly flashAttention?: boolean;
  /** Weights mapped from the file (reclaimable, shared) or read into memory of the process. */
  readonly mmap?: boolean;
  /** Whether the CPU's kernels keep rearranged copies of some tensors. */
  readonly repack?: boolean;
  /** Keeps all tokens in the layers that see a window only. */
  readonly fullWindowCache?: boolean;
  /** Bytes that snapshots of a slot's state may take, in layers that see a window or are recurrent. 0 without it. */
  readonly checkpoints?: number;
  /** Bytes of the engine's process with no model: Node, the library, its code. */
  readonly runtime?: number;
}

/** Bytes that a loaded model holds once it has worked at full batch and full context. */
export interface MemoryPlan {
  readonly weights: number;
  readonly kv: number;
  readonly compute: number;
  readonly overhead: number;
  readonly total: number;
}

/** The facts of a header that the plan uses; a `Gguf` is one. */
export type PlannedModel = Pick<
  Gguf,
  | 'fileBytes'
  | 'tensorBytes'
  | 'tensors'
  | 'layers'
  | 'embeddingLength'
  | 'feedForwardLength'
  | 'headCount'
  | 'keyLength'
  | 'valueLength'
  | 'slidingWindow'
  | 'vocabSize'
  | 'contextLength'
  | 'metadata'
  | 'architecture'
>;

/** llama.cpp rounds each sequence's cells up to this many. */
const cellPadding = 256;
const defaultBatch = 512;
/** Node 24 with node-llama-cpp 3.22 loaded, its code and its heap: measured, see docs/models-memory.md. */
const defaultRuntime = 134 * 2 ** 20;
/** For each token of the vocabulary, the engine's texts, scores and look-up tables: measured, see docs/models-memory.md. */
const bytesPerToken = 630;
/** For each token and slot, the candidates a sampler sorts and the copies it makes: measured, see docs/models-memory.md. */
const sampledBytesPerToken = 20;

/**
 * The memory of a model in llama.cpp on a CPU, in bytes: an estimate for the ledger until the real use has been measured.
 * Weights and cache are exact; compute and overhead come within a tenth of the total (docs/models-memory.md).
 */
export function planMemory(model: PlannedModel, options: PlanOptions): MemoryPlan {
  const weights = weightBytes(model, options);
  const kv = cacheBytes(model, options) + checkpointBytes(model, options);
  const compute = computeBytes(model, options);
  const overhead =
    (options.runtime ?? defaultRuntime) + model.vocabSize * (bytesPerToken + sampledBytesPerToken * options.slots);
  return { weights, kv, compute, overhead, total: weights + kv + compute + overhead };
}

/**
 * The longest context for each slot, in tokens, with which the model stays within `limit` bytes: a multiple of 256, never
 * more than it was trained for. Null when not even 256 tokens fit.
 */
export function largestContext(
  model: PlannedModel,
  limit: number,
  options: Omit<PlanOptions, 'contextPerSlot'>,
): number | null {
  const fits = (blocks: number) =>
    planMemory(model, { ...options, contextPerSlot: blocks * cellPadding }).total <= limit;
  let [low, high] = [0, Math.max(1, Math.floor(model.contextLength / cellPadding))];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? null : low * cellPadding;
}

/**
 * The tensors' bytes, and once more those that the CPU's kernels rearrange: these are copied out of the mapped file, whose
 * pages stay until the kernel needs them elsewhere. Read without mapping, they are rearranged on the way in.
 */
function weightBytes({ tensors, tensorBytes, fileBytes }: PlannedModel, options: PlanOptions): number {
  const copied = tensors.reduce((sum, tensor) => sum + tensorCopies(tensor, options), 0);
  return (tensorBytes ?? fileBytes) + copied;
}

/** Bytes of the rearranged copy of one tensor. */
export const tensorCopies = (tensor: TensorInfo, { mmap = true, repack = true }: PlanOptions): number =>
  mmap && repack && isRepacked(tensor) ? (tensor.bytes ?? 0) : 0;

/**
 * Which tensors ggml rearranges on x86 with AVX2 (`ggml_repack_get_optimal_repack_type` of ggml-cpu/repack.cpp): matrices
 * of these types whose rows come in eights. The token table is read row by row and is left as it is.
 */
const repackedTypes = new Set(['Q4_0', 'Q4_K', 'IQ4_NL']);

const isRepacked = ({ name, shape, type }: TensorInfo): boolean =>
  repackedTypes.has(tensorTypes[type]?.name ?? '') &&
  shape.length > 1 &&
  (shape[1] ?? 0) % 8 === 0 &&
  !name.startsWith('token_embd.');

/**
 * The cache: for each slot and layer, a key and a value of `kvHeads` heads for each cell (`llama_kv_cache` of llama.cpp).
 * A layer that sees a window keeps the window and one batch (`llama_kv_cache_iswa`); cells are padded to 256.
 */
const cacheBytes = (model: PlannedModel, options: PlanOptions): number =>
  cacheBytesOfLayers(model, options).reduce((sum, bytes) => sum + bytes, 0);

/** A prompt that goes on from an earlier one needs these layers as they were then: what they hold is kept once more. */
function checkpointBytes(model: PlannedModel, options: PlanOptions): number {
  const { checkpoints = 0 } = options;
  const { sliding } = cells(model, options);
  const perHead = (model.keyLength + model.valueLength) * bytesPerElement(options.kvType ?? 'f16');
  const windows = model.layers.reduce((sum, layer) => sum + (layer.sliding ? sliding * layer.kvHeads * perHead : 0), 0);
  return options.slots * Math.min(checkpoints, windows + recurrentBytes(model));
}

/** The same for each layer. What recurrent layers keep is laid to all alike. */
export function cacheBytesOfLayers(model: PlannedModel, options: PlanOptions): readonly number[] {
  const { full, sliding } = cells(model, options);
  const perElement = bytesPerElement(options.kvType ?? 'f16');
  const perHead = (model.keyLength + model.valueLength) * perElement;
  const recurrent = recurrentBytes(model) / Math.max(1, model.layers.length);
  return model.layers.map(
    (layer) => options.slots * ((layer.sliding ? sliding : full) * layer.kvHeads * perHead + recurrent),
  );
}

function cells(model: PlannedModel, options: PlanOptions): { readonly full: number; readonly sliding: number } {
  const full = padded(options.contextPerSlot);
  if (options.fullWindowCache || model.slidingWindow === undefined) return { full, sliding: full };
  // node-llama-cpp asks one token more than the batch for models with a window: often that is 256 cells more.
  const window = padded(model.slidingWindow + batchOf(options) + 1);
  return { full, sliding: Math.min(full, window) };
}

const padded = (tokens: number): number => Math.ceil(Math.max(1, tokens) / cellPadding) * cellPadding;

const batchOf = ({ batch = defaultBatch, contextPerSlot, slots }: PlanOptions): number =>
  Math.min(batch, contextPerSlot * slots);

function bytesPerElement(kvType: KvType): number {
  const found = Object.values(tensorTypes).find(({ name }) => name.toLowerCase() === kvType);
  return found ? found.bytes / found.block : 2;
}

/**
 * What recurrent layers keep for each slot instead of a cache (`llama_hparams::n_embd_r` and `n_embd_s`): a convolution's
 * last inputs and a state, 32-bit. Layers of hybrid models without attention heads count; without such, all of them do.
 */
function recurrentBytes({ metadata, architecture, layers }: PlannedModel): number {
  const number = (key: string) => metadata.number(`${architecture}.ssm.${key}`) ?? 0;
  const [inner, state, kernel, groups] = [
    number('inner_size'),
    number('state_size'),
    number('conv_kernel'),
    number('group_count'),
  ];
  if (inner === 0) return 0;
  const without = layers.filter(({ kvHeads }) => kvHeads === 0).length;
  const convolution = Math.max(0, kernel - 1) * (inner + 2 * groups * state);
  return (without || layers.length) * (convolution + state * inner) * 4;
}

/**
 * What one step touches of the buffers it computes in. llama.cpp reserves room for the logits of a whole batch
 * (batch x vocabulary x 4), but only the last token of each prompt asks for them, and memory that is never written is
 * never taken. What is written:
 * 1. the mask, one number for each token of the batch and each cell: 16-bit with flash attention, 32-bit without;
 * 2. without flash attention, the scores: as many again for each head, 32-bit;
 * 3. the activations: a few vectors of the embedding's and two of the feed-forward's size for each token, 32-bit;
 * 4. or, after them and in their place, the logits of one token a slot.
 */
export function computeBytes(model: PlannedModel, options: PlanOptions): number {
  const { flashAttention = true, slots } = options;
  const batch = batchOf(options);
  const pairs = batch * padded(options.contextPerSlot);
  const mask = pairs * (flashAttention ? 2 : 4); // 1
  const scores = flashAttention ? 0 : pairs * model.headCount * 4; // 2
  const activations = batch * (4 * model.embeddingLength + 2 * model.feedForwardLength) * 4; // 3
  const logits = slots * model.vocabSize * 4; // 4
  return mask + Math.max(scores + activations, logits);
}
