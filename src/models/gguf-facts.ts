import type { Metadata, TensorInfo } from './gguf.ts';
import { fileTypeName } from './gguf-types.ts';

/** One layer's attention: what it keeps in the cache for each token. */
export interface LayerFacts {
  /** Key/value heads; 0 for a layer without attention (recurrent layers of hybrid models). */
  readonly kvHeads: number;
  /** True when it sees only the last `slidingWindow` tokens, and so keeps only those. */
  readonly sliding: boolean;
}

/** What planning and listing need of a model, taken from its metadata. Sizes are in elements or tokens unless said. */
export interface GgufFacts {
  readonly architecture: string;
  readonly name: string | undefined;
  readonly blockCount: number;
  readonly embeddingLength: number;
  readonly feedForwardLength: number;
  /** Query heads: the largest of the layers. */
  readonly headCount: number;
  readonly keyLength: number;
  readonly valueLength: number;
  readonly layers: readonly LayerFacts[];
  readonly slidingWindow: number | undefined;
  /** Tokens it was trained for: asking for more gives nonsense. */
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly fileType: number | undefined;
  /** `Q4_K_M` and the like; undefined when the file does not say or says a newer one. */
  readonly quantization: string | undefined;
  readonly chatTemplate: boolean;
  /** How the vectors of an embedding model are pooled (1 mean, 2 cls, 3 last); undefined for a generating one. */
  readonly pooling: number | undefined;
  readonly parameters: number;
  /** Bytes of all tensors; undefined when one has a type that is not in the table. */
  readonly tensorBytes: number | undefined;
}

/**
 * Which layers slide where the file does not say: every n-th layer is global, the others slide. From the `set_swa_pattern`
 * calls of llama.cpp's model loader. An architecture that is missing here is planned as if every layer were global, which
 * asks for too much rather than too little.
 */
const everyNthIsGlobal: Readonly<Record<string, number>> = {
  gemma2: 2,
  gemma3: 6,
  gemma3n: 5,
  'gemma-embedding': 6,
  cohere2: 4,
  exaone4: 4,
  'gpt-oss': 2,
  olmo3: 4,
  smallthinker: 4,
};

/** Null when the file names no architecture, without which no other key can be found. */
export function ggufFacts(metadata: Metadata, tensors: readonly TensorInfo[]): GgufFacts | null {
  const architecture = metadata.text('general.architecture');
  if (architecture === undefined) return null;
  const number = (key: string) => metadata.number(`${architecture}.${key}`);
  const headCount = Math.max(0, ...(metadata.items(`${architecture}.attention.head_count`) ?? []));
  const embeddingLength = number('embedding_length') ?? 0;
  const headSize = headCount > 0 ? Math.floor(embeddingLength / headCount) : 0;
  const fileType = metadata.number('general.file_type');
  return {
    architecture,
    name: metadata.text('general.name'),
    blockCount: number('block_count') ?? 0,
    embeddingLength,
    feedForwardLength: Math.max(0, ...(metadata.items(`${architecture}.feed_forward_length`) ?? [])),
    headCount,
    keyLength: number('attention.key_length') ?? headSize,
    valueLength: number('attention.value_length') ?? headSize,
    layers: layersOf(metadata, architecture, headCount),
    slidingWindow: number('attention.sliding_window') || undefined,
    contextLength: number('context_length') ?? 0,
    vocabSize: number('vocab_size') ?? metadata.length('tokenizer.ggml.tokens') ?? 0,
    fileType,
    quantization: fileTypeName(fileType),
    chatTemplate: metadata.text('tokenizer.chat_template') !== undefined,
    pooling: number('pooling_type'),
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0),
    tensorBytes: tensors.reduce<number | undefined>(
      (sum, { bytes }) => (sum === undefined || bytes === null ? undefined : sum + bytes),
      0,
    ),
  };
}

/** No model has nearly as many; a file that claims more must not make the plan allocate for them. */
const mostLayers = 4096;

function layersOf(metadata: Metadata, architecture: string, headCount: number): readonly LayerFacts[] {
  const count = Math.min(metadata.number(`${architecture}.block_count`) ?? 0, mostLayers);
  const kvHeads = metadata.items(`${architecture}.attention.head_count_kv`) ?? [];
  const window = metadata.number(`${architecture}.attention.sliding_window`) ?? 0;
  const slides = slidingPattern(metadata, architecture);
  return Array.from({ length: count }, (_, layer) => ({
    // One number stands for all layers; an array has one for each.
    kvHeads: (kvHeads.length > 1 ? kvHeads[layer] : kvHeads[0]) ?? headCount,
    sliding: window > 0 && slides(layer),
  }));
}

function slidingPattern(metadata: Metadata, architecture: string): (layer: number) => boolean {
  const written = metadata.items(`${architecture}.attention.sliding_window_pattern`);
  if (written && written.length > 1) return (layer) => Boolean(written[layer]);
  const nth = written?.[0] ?? everyNthIsGlobal[architecture];
  return nth === undefined || nth < 1 ? () => false : (layer) => layer % nth < nth - 1;
}
