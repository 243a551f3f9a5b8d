import type { JsonObject } from './json.ts';

/** A call of a tool that the model made in an earlier turn. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: JsonObject;
}

export type ChatMessage =
  | { readonly role: 'system' | 'user'; readonly text: string }
  | { readonly role: 'assistant'; readonly text: string; readonly calls?: readonly ToolCall[] }
  /** What the call of that id came to. */
  | { readonly role: 'tool'; readonly text: string; readonly callId: string };

/** Something the model may ask its client to do. */
export interface Tool {
  readonly name: string;
  readonly description?: string;
  /** What the model is told of its arguments. */
  readonly parameters: JsonObject;
  /** What its arguments are held to; null when it takes none. */
  readonly grammar: JsonObject | null;
  /** Where the client gave its parameters, for an error to name. */
  readonly param: string;
}

/** An answer that calls tools, as far as it has come. */
export interface Said {
  readonly text: string;
  /** Calls that are whole, with their arguments as JSON. */
  readonly calls: readonly { readonly name: string; readonly json: string }[];
  /** The name in a further call that has begun: empty while it is not chosen yet. */
  readonly open?: string;
}

/** How the model's template writes calls of tools. */
export interface CallSyntax {
  /** What text that becomes a call begins with. */
  readonly marker: string;
  /** The answer so far, as it stands in the template. */
  tokens(said: Said): readonly number[];
}

/** What the model is made to read, and the strings that end an answer in its template besides its own end token. */
export interface Prompt {
  readonly tokens: readonly number[];
  readonly stops: readonly string[];
  /** Only where tools were offered. */
  readonly syntax?: CallSyntax;
}

/** A JSON object: any, or one that keeps to a schema. */
export type Form =
  | { readonly kind: 'json' }
  /** `param`: where the client gave the schema, for an error to name. */
  | { readonly kind: 'schema'; readonly schema: JsonObject; readonly param: string };

/** What a generated text must look like. */
export type Shape =
  | { readonly kind: 'text' }
  | Form
  /** Begins with one of the openings, and goes on as it likes; else it is in the form. */
  | { readonly kind: 'callOr'; readonly openings: readonly string[]; readonly form: Form }
  /** One of these texts, and nothing else. */
  | { readonly kind: 'choice'; readonly options: readonly string[] };

export interface Sampling {
  readonly temperature: number;
  readonly topP: number;
  /** 0: no limit. */
  readonly topK: number;
  readonly minP: number;
  /** An unsigned 32-bit number. */
  readonly seed: number;
  /** 1: none. */
  readonly repeatPenalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** Added to the logit of a token, by its id. */
  readonly logitBias: ReadonlyMap<number, number>;
}

/** A token and the natural logarithm of its probability, in the distribution that the answer was drawn from. */
export interface Likely {
  readonly text: string;
  readonly logprob: number;
}

export interface Likelihood extends Likely {
  /** The likeliest in its place, with their own, the first the most. */
  readonly top: readonly Likely[];
}

export type EngineEvent =
  /** First and once: how much of the prompt the slot held already. */
  | { readonly kind: 'prompt'; readonly cachedTokens: number }
  /** One generated token. Its text is empty while it is only a part of a character. */
  | { readonly kind: 'token'; readonly text: string; readonly likelihood?: Likelihood }
  /** The model ended its answer by itself; `text` is what was held back. */
  | { readonly kind: 'end'; readonly text: string };

export interface EngineMemory {
  /** The weights, as the file holds them. */
  readonly modelBytes: number;
  /** KV cache and compute buffers of the generation context. */
  readonly contextBytes: number;
  /** The same of the embedding context: 0 until the first request for embeddings. */
  readonly embeddingBytes: number;
}

/** One loaded model. The HTTP part knows the engine only as this. */
export interface Engine {
  readonly slots: number;
  /** Tokens one slot holds, prompt and answer together. */
  readonly contextTokens: number;
  /** Tokens one text to embed may have. */
  readonly embeddingTokens: number;
  /** Tokens of the vocabulary: ids run from 0 up to it. */
  readonly vocabulary: number;
  /** False for a model that only makes embeddings. */
  readonly generates: boolean;
  readonly batchTokens: number;
  readonly threads: number;

  /** The conversation in the model's own template, ready for the assistant's turn. Text in it is never read as control tokens. */
  renderChat(messages: readonly ChatMessage[], tools?: readonly Tool[]): Prompt;
  /** Raw text as a prompt: control tokens written in it count, and the begin token the model wants is put in front. */
  renderText(prompt: string): Prompt;
  tokenize(text: string): readonly number[];

  /** What the slot holds now: a prompt that starts the same need not be evaluated again. */
  held(slot: number): readonly number[];
  /**
   * Evaluates the prompt in the slot, then generates for as long as it is asked for more. Only the holder of the slot
   * may call it. An abort ends it within one batch, by throwing the signal's reason; so does leaving the loop. After
   * any failure the slot is clean.
   */
  generate(
    slot: number,
    prompt: readonly number[],
    options: {
      readonly sampling: Sampling;
      readonly shape: Shape;
      /** Tells of each token how likely it was, beside so many others. Costs time. */
      readonly likelihoods?: number | undefined;
      /** How many tokens will be asked for at most, so that none is computed in vain. */
      readonly limit?: number;
    },
    signal: AbortSignal,
  ): AsyncGenerator<EngineEvent, void, void>;

  /** Tokens a text to embed comes to, with the begin and end tokens the model wants. */
  embeddingLength(tokens: readonly number[]): Promise<number>;
  /** The vector of one text, as the model makes it: not normalised. One at a time. */
  embed(tokens: readonly number[]): Promise<readonly number[]>;

  memory(): EngineMemory;
  close(): Promise<void>;
}

export interface EngineOptions {
  readonly modelPath: string;
  readonly contextTokens: number;
  readonly slots: number;
  readonly threads: number;
  readonly batchTokens: number;
  /** On the graphics card, as llama.cpp counts them; 0 for none. */
  readonly gpuLayers: number;
  onProgress(progress: number): void;
  onWarning(message: string): void;
}
