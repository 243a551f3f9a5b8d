/*
 * The part of node-llama-cpp 3.22 that engine.ts uses, written down by hand: the library lives in an environment of
 * its own and is no dependency of this repository.
 */

export type Token = number;

export interface LlamaText {
  readonly values: readonly unknown[];
  tokenize(tokenizer: Tokenizer): Token[];
  /** Plain text in it is a string; control text is an object. */
  mapValues(map: (value: unknown) => unknown): LlamaText;
  toString(): string;
}

/** What a text can be made of. */
export type LlamaTextLike = string | LlamaText | readonly LlamaTextLike[];

/** A model's `tokenizer`: a function that carries the way back with it. Opaque here. */
export type Tokenizer = (text: string, specialTokens?: boolean) => Token[];

export interface FunctionCall {
  readonly type: 'functionCall';
  readonly name: string;
  readonly params: unknown;
  readonly result: unknown;
  /** The first of those that were made at once. */
  readonly startsNewChunk: boolean;
}

export type ChatItem =
  | { readonly type: 'system' | 'user'; readonly text: string }
  | { readonly type: 'model'; readonly response: (string | FunctionCall)[] };

export type Functions = Readonly<Record<string, { readonly description?: string; readonly params: object }>>;

export interface ChatWrapper {
  readonly wrapperName: string;
  readonly settings: {
    readonly functions: {
      readonly call: {
        readonly prefix: LlamaTextLike;
        /** May hold `{{functionName}}`. */
        readonly paramsPrefix: LlamaTextLike;
        readonly suffix: LlamaTextLike;
      };
      readonly parallelism?: {
        readonly call: { readonly sectionPrefix?: LlamaTextLike; readonly betweenCalls?: LlamaTextLike };
      };
    };
  };
  generateContextState(options: {
    readonly chatHistory: readonly ChatItem[];
    readonly availableFunctions?: Functions;
  }): {
    readonly contextText: LlamaText;
    readonly stopGenerationTriggers: readonly LlamaText[];
  };
}

export interface Grammar {
  readonly grammar: string;
}
/** Follows one answer through a grammar; of no use to a second. */
export type GrammarState = object;

export interface TokenBias {
  set(input: Token[], bias: { readonly logit: number }): TokenBias;
}

export interface EvaluateOptions {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly seed: number;
  readonly grammarEvaluationState?: GrammarState;
  readonly repeatPenalty?: {
    readonly punishTokens: () => Token[];
    readonly maxPunishTokens: number;
    readonly penalty: number;
    readonly frequencyPenalty: number;
    readonly presencePenalty: number;
  };
  readonly tokenBias?: TokenBias;
}

export interface Sequence {
  readonly nextTokenIndex: number;
  readonly contextTokens: Token[];
  adaptStateToTokens(tokens: Token[], allowShift: boolean): Promise<void>;
  evaluate(tokens: Token[], options: EvaluateOptions): AsyncGenerator<Token, void, void>;
  /** `confidence` is the token's own probability, `probabilities` has every other's, the likeliest first. */
  evaluateWithMetadata(
    tokens: Token[],
    metadata: { readonly confidence: true; readonly probabilities: boolean },
    options: EvaluateOptions,
  ): AsyncGenerator<
    { readonly token: Token; readonly confidence: number; readonly probabilities?: ReadonlyMap<Token, number> },
    void,
    void
  >;
  evaluateWithoutGeneratingNewTokens(tokens: Token[]): Promise<void>;
  clearHistory(): Promise<void>;
  /** Not documented, so bound to the release: what the library's own decisions share a prompt with. False when it came to nothing. */
  _copyStateFromOtherSequence(other: Sequence, tokens: number): Promise<boolean>;
  dispose(): Promise<void>;
}

export interface Context {
  readonly contextSize: number;
  readonly memoryUsage: { readonly ram: number };
  getSequence(options: {
    readonly contextShift: { readonly size: number; readonly strategy: () => never };
    readonly checkpoints: { readonly max: number; readonly interval: false; readonly maxMemory: number };
  }): Sequence;
  dispose(): Promise<void>;
}

export interface EmbeddingContext {
  calculateInputLength(input: Token[]): number;
  getEmbeddingFor(input: Token[]): Promise<{ readonly vector: readonly number[] }>;
  dispose(): Promise<void>;
}

/** What a sequence has queued: tokens of a prompt, or the one that was generated last. */
export interface BatchItem {
  readonly tokens: readonly Token[];
}

export interface PrioritizedItem {
  readonly item: BatchItem;
  /** At least 1. */
  readonly processAmount: number;
}

export interface Batching {
  /** Called when something is queued while nothing is computed; a batch is made when it calls `dispatch`. */
  dispatchSchedule(dispatch: () => void): void;
  /** Chooses what is in the next batch, of at most `size` tokens. Called before each, with the oldest item first. */
  itemPrioritizationStrategy(queued: {
    readonly items: readonly BatchItem[];
    readonly size: number;
  }): PrioritizedItem[];
}

export interface Model {
  readonly tokenizer: Tokenizer;
  readonly size: number;
  readonly trainContextSize: number;
  readonly tokens: {
    readonly bos: Token | null;
    readonly shouldPrependBosToken: boolean;
  };
  readonly fileInfo: {
    readonly metadata: {
      readonly general: { readonly architecture: string };
      readonly tokenizer?: { readonly chat_template?: string };
      readonly [architecture: string]: unknown;
    };
  };
  tokenize(text: string, specialTokens?: boolean): Token[];
  detokenize(tokens: readonly Token[], specialTokens?: boolean, lastTokens?: readonly Token[]): string;
  isSpecialToken(token: Token): boolean;
  isEogToken(token: Token): boolean;
  iterateAllTokens(): Iterable<Token>;
  createContext(options: {
    readonly sequences: number;
    readonly contextSize: number;
    readonly batchSize: number;
    readonly threads: number;
    readonly batching: Batching;
    readonly flashAttention: 'auto';
    readonly swaFullCache: false;
    readonly experimentalKvCacheKeyType: 'F16';
    readonly experimentalKvCacheValueType: 'F16';
    readonly performanceTracking: false;
    readonly failedCreationRemedy: false;
    readonly ignoreMemorySafetyChecks: true;
  }): Promise<Context>;
  createEmbeddingContext(options: {
    readonly contextSize: number;
    readonly batchSize: number;
    readonly threads: number;
    readonly ignoreMemorySafetyChecks: true;
  }): Promise<EmbeddingContext>;
  dispose(): Promise<void>;
}

export interface Llama {
  /** What it found to compute on beside the processor. */
  readonly gpu: string | false;
  loadModel(options: {
    readonly modelPath: string;
    readonly gpuLayers: number;
    readonly useMmap: true;
    readonly useMlock: false;
    readonly useDirectIo: false;
    readonly lazyMode: false;
    readonly checkTensors: false;
    readonly ignoreMemorySafetyChecks: true;
    readonly onLoadProgress: (progress: number) => void;
  }): Promise<Model>;
  createGrammarForJsonSchema(schema: object): Promise<Grammar>;
  /** A grammar in llama.cpp's own notation, GBNF. */
  createGrammar(options: { readonly grammar: string; readonly rootRuleName?: string }): Promise<Grammar>;
  getGrammarFor(type: 'json'): Promise<Grammar>;
  getLlamaMemoryUsage(): Promise<{ readonly cpuRam: number }>;
  dispose(): Promise<void>;
}

export interface NodeLlamaCpp {
  getLlama(options: {
    readonly gpu: 'auto' | false;
    readonly build: 'never';
    readonly skipDownload: true;
    readonly progressLogs: false;
    readonly maxThreads: number;
    readonly logLevel: 'warn';
    readonly logger: (level: string, message: string) => void;
  }): Promise<Llama>;
  readonly LlamaGrammarEvaluationState: new (options: {
    readonly model: Model;
    readonly grammar: Grammar;
  }) => GrammarState;
  readonly JinjaTemplateChatWrapper: new (options: {
    readonly template: string;
    readonly tokenizer: Tokenizer;
  }) => ChatWrapper;
  LlamaText(value: LlamaTextLike): LlamaText;
  readonly TokenBias: { for(model: Model): TokenBias };
  resolveChatWrapper(model: Model): ChatWrapper;
}
