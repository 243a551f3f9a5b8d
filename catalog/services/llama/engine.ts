import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type {
  ChatMessage,
  Engine,
  EngineEvent,
  EngineOptions,
  Likelihood,
  Likely,
  Prompt,
  Sampling,
  Shape,
  Tool,
} from './contract.ts';
import { ahead } from './ahead.ts';
import { createBatching } from './batching.ts';
import { callSyntax } from './call-syntax.ts';
import { createDecoder } from './decoder.ts';
import { apiError } from './errors.ts';
import { grammarFor } from './grammar.ts';
import { historyOf } from './history.ts';
import { isObject } from './json.ts';
import type * as llamaCpp from './llama-cpp.ts';
import { createPace } from './pace.ts';
import type { Pace } from './pace.ts';
import { longestPrefix, commonPrefix } from './slots.ts';

/** The library, from the environment it was installed in. */
async function importLibrary(environment: string): Promise<llamaCpp.NodeLlamaCpp> {
  const resolve = createRequire(join(environment, 'package.json')).resolve;
  return (await import(pathToFileURL(resolve('node-llama-cpp')).href)) as llamaCpp.NodeLlamaCpp;
}

/**
 * Room for snapshots of recurrent and sliding-window models, by slot. The library's default has no bound in bytes. The memory
 * plan counts them (`src/units/plans.ts`).
 */
const checkpoints = { max: 1, interval: false, maxMemory: 32 * 1024 * 1024 } as const;

/** Tokens to spare from which a copy of another slot's cache is worth it: copying takes as long as evaluating a few. */
const worthCopying = 64;

/** Dropping the oldest tokens to make room would change the question in silence: requests end before it is needed. */
const contextShift = {
  size: 1,
  strategy(): never {
    throw new Error('the context is full');
  },
};

/** Loads the model and its context, and evaluates one token, so that the first request finds everything in place. */
export async function loadEngine(environment: string, options: EngineOptions): Promise<Engine> {
  const library = await importLibrary(environment);
  const llama = await library.getLlama({
    gpu: options.gpuLayers > 0 ? 'auto' : false,
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    maxThreads: options.threads,
    logLevel: 'warn',
    logger: (level, message) => options.onWarning(`${level}: ${message.trim()}`),
  });
  // A driver that does not fit its library is no reason to leave the model alone: the processor runs it, in more memory.
  const onCard = llama.gpu !== false;
  if (options.gpuLayers > 0 && !onCard)
    options.onWarning('no graphics card can be used: the processor computes it all');
  const model = await llama.loadModel({
    modelPath: options.modelPath,
    gpuLayers: onCard ? options.gpuLayers : 0,
    useMmap: true,
    useMlock: false,
    useDirectIo: false,
    lazyMode: false,
    checkTensors: false,
    // Whoever started this process has set the memory aside already, and knows better than a look at what is free now.
    ignoreMemorySafetyChecks: true,
    onLoadProgress: options.onProgress,
  });
  const generates = attention(model).causal;
  const slots = generates ? await createSlots(model, options) : undefined;
  await slots?.warmUp();
  return assemble(library, llama, model, slots, options);
}

/** From the file's own description. An encoder (BERT and its kin) reads both ways, and can't generate. */
function attention(model: llamaCpp.Model): { readonly causal: boolean; readonly pooled: boolean } {
  const { metadata } = model.fileInfo;
  const own = metadata[metadata.general.architecture];
  const described = isObject(own) ? own : {};
  const causal = !(isObject(described['attention']) && described['attention']['causal'] === false);
  // llama.cpp: 0 none, 1 mean, 2 first token, 3 last token. The first two need the whole text in one batch.
  const pooling = described['pooling_type'];
  return { causal, pooled: pooling === 1 || pooling === 2 };
}

interface Slots {
  readonly context: llamaCpp.Context;
  held(slot: number): readonly number[];
  sequence(slot: number): llamaCpp.Sequence;
  /**
   * Copies what another slot has evaluated where that spares the slot much of the prompt: a system prompt that many
   * conversations begin with is evaluated once. The other slot may be in use.
   */
  adopt(slot: number, prompt: readonly number[]): Promise<void>;
  /** A new sequence in place of one whose state is in doubt. */
  renew(slot: number): Promise<void>;
  warmUp(): Promise<void>;
}

async function createSlots(model: llamaCpp.Model, options: EngineOptions): Promise<Slots> {
  const context = await model.createContext({
    sequences: options.slots,
    contextSize: options.contextTokens,
    batchSize: options.batchTokens,
    threads: options.threads,
    batching: createBatching(),
    flashAttention: 'auto',
    swaFullCache: false,
    // What the memory plan reckons with, whatever the library's default becomes.
    experimentalKvCacheKeyType: 'F16',
    experimentalKvCacheValueType: 'F16',
    performanceTracking: false,
    failedCreationRemedy: false,
    ignoreMemorySafetyChecks: true,
  });
  const create = () => context.getSequence({ contextShift, checkpoints });
  const sequences = Array.from({ length: options.slots }, create);
  const sequence = (slot: number): llamaCpp.Sequence => {
    const found = sequences[slot];
    if (!found) throw new RangeError(`There is no slot ${String(slot)}.`);
    return found;
  };
  const held = (slot: number) => sequence(slot).contextTokens;
  const renew = async (slot: number): Promise<void> => {
    await sequence(slot).dispose();
    sequences[slot] = create();
  };
  return {
    ...{ context, sequence, held, renew },
    async adopt(slot, prompt) {
      const own = commonPrefix(held(slot), prompt);
      const others = sequences.map((_, id) => ({ id, held: id === slot ? [] : held(id) }));
      const { id, common } = longestPrefix(others, prompt);
      const from = Math.min(common, prompt.length - 1);
      if (from - own < worthCopying) return;
      // False when the other one moved on meanwhile: nothing can be said of the copy then.
      const copied = await sequence(slot)._copyStateFromOtherSequence(sequence(id), from);
      if (!copied) await renew(slot);
    },
    async warmUp() {
      const first = sequence(0);
      await first.evaluateWithoutGeneratingNewTokens([model.tokens.bos ?? model.tokenize('a')[0] ?? 0]);
      await first.clearHistory();
    },
  };
}

function assemble(
  library: llamaCpp.NodeLlamaCpp,
  llama: llamaCpp.Llama,
  model: llamaCpp.Model,
  slots: Slots | undefined,
  options: EngineOptions,
): Engine {
  const chat = createTemplate(library, model);
  const embedding = createEmbedder(model, options, llama);
  const pace = createPace(options.batchTokens);
  const generating = (): Slots => {
    if (slots) return slots;
    throw apiError(400, 'This model makes embeddings only.', { param: 'model', code: 'model_not_supported' });
  };
  return {
    slots: options.slots,
    // The library rounds a context up; the tokens asked for are the ones promised.
    contextTokens: Math.min(options.contextTokens, slots?.context.contextSize ?? options.contextTokens),
    embeddingTokens: embedding.limit - 1,
    vocabulary: [...model.iterateAllTokens()].length,
    generates: slots !== undefined,
    batchTokens: options.batchTokens,
    threads: options.threads,
    renderChat(messages, tools = []) {
      generating();
      return chat(messages, tools);
    },
    renderText(text) {
      generating();
      return { tokens: withBegin(model, model.tokenize(text, true)), stops: [] };
    },
    tokenize: (text) => model.tokenize(text, false),
    held: (slot) => generating().held(slot),
    generate: (slot, prompt, request, signal) =>
      generate(
        {
          library,
          llama,
          model,
          slots: generating(),
          pace,
          contextTokens: options.contextTokens,
        },
        slot,
        prompt,
        request,
        signal,
      ),
    embed: embedding.embed,
    embeddingLength: embedding.length,
    memory: () => ({
      modelBytes: model.size,
      contextBytes: slots?.context.memoryUsage.ram ?? 0,
      embeddingBytes: embedding.bytes(),
    }),
    async close() {
      await embedding.close();
      await slots?.context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}

function withBegin(model: llamaCpp.Model, tokens: number[]): number[] {
  const { bos, shouldPrependBosToken } = model.tokens;
  return shouldPrependBosToken && bos !== null && tokens[0] !== bos ? [bos, ...tokens] : tokens;
}

/**
 * The file's own chat template. The library's hand-made wrappers come second: they follow a family of models, and
 * leave out what a file's template adds (a default system message, say).
 */
function createTemplate(library: llamaCpp.NodeLlamaCpp, model: llamaCpp.Model) {
  const template = model.fileInfo.metadata.tokenizer?.chat_template;
  let wrapper: llamaCpp.ChatWrapper | undefined;
  const resolve = () =>
    (wrapper ??=
      template === undefined
        ? library.resolveChatWrapper(model)
        : new library.JinjaTemplateChatWrapper({ template, tokenizer: model.tokenizer }));
  return (messages: readonly ChatMessage[], tools: readonly Tool[]): Prompt => {
    const history = historyOf(messages);
    const last = messages.at(-1)?.role;
    const turn = history.at(-1);
    // A conversation that ends with the assistant's words is gone on with, as is its turn after a call; any other opens it.
    if (last === 'tool' && turn?.type === 'model') turn.response.push('');
    else if (last !== 'assistant') history.push({ type: 'model', response: [] });
    const chosen = resolve();
    const state = render(chosen, history, tools);
    return {
      tokens: withBegin(model, state.contextText.tokenize(model.tokenizer)),
      stops: state.stopGenerationTriggers.flatMap((trigger) => stopText(model, trigger)),
      ...(tools.length > 0 && { syntax: callSyntax(library, model, chosen) }),
    };
  };
}

/** A template may refuse a conversation (roles that don't alternate, say): the client's to mend, so a 400. */
function render(wrapper: llamaCpp.ChatWrapper, chatHistory: readonly llamaCpp.ChatItem[], tools: readonly Tool[]) {
  const availableFunctions = Object.fromEntries(
    tools.map(({ name, description, parameters }) => [
      name,
      { ...(description !== undefined && { description }), params: parameters },
    ]),
  );
  try {
    return wrapper.generateContextState({ chatHistory, ...(tools.length > 0 && { availableFunctions }) });
  } catch (error) {
    const why = error instanceof Error ? error.message : 'no reason given';
    const message = `The model's chat template refuses these messages: ${why}`;
    throw apiError(400, message, { param: 'messages', code: 'invalid_messages' });
  }
}

/** A template's mark for the end of an answer, where it is text: the model's end tokens end an answer by themselves. */
function stopText(model: llamaCpp.Model, trigger: llamaCpp.LlamaText): string[] {
  const tokens = trigger.tokenize(model.tokenizer);
  if (tokens.length === 0 || tokens.some((token) => model.isSpecialToken(token))) return [];
  return [model.detokenize(tokens)].filter((text) => text.trim() !== '');
}

interface Machinery {
  readonly library: llamaCpp.NodeLlamaCpp;
  readonly llama: llamaCpp.Llama;
  readonly model: llamaCpp.Model;
  readonly slots: Slots;
  readonly pace: Pace;
  readonly contextTokens: number;
}

async function* generate(
  machinery: Machinery,
  slot: number,
  prompt: readonly number[],
  request: {
    readonly sampling: Sampling;
    readonly shape: Shape;
    readonly likelihoods?: number | undefined;
    readonly limit?: number;
  },
  signal: AbortSignal,
): AsyncGenerator<EngineEvent, void, void> {
  const { model, slots } = machinery;
  try {
    const generated: number[] = [];
    const options = await evaluateOptions(machinery, request, generated);
    signal.throwIfAborted();
    await slots.adopt(slot, prompt);
    const sequence = slots.sequence(slot);
    // The last token is always evaluated anew: it is what the first generated one is sampled from.
    await sequence.adaptStateToTokens(prompt.slice(0, -1), false);
    yield { kind: 'prompt', cachedTokens: sequence.nextTokenIndex };
    const left = await evaluatePrompt(sequence, prompt.slice(sequence.nextTokenIndex), machinery.pace, signal);
    const decoder = createDecoder(model, prompt, request.shape.kind === 'callOr');
    const tokens = evaluated(model, sequence, left, options, request.likelihoods);
    const limit = request.limit ?? Infinity;
    // Penalties count a token before the next is chosen.
    for await (const { token, likelihood } of ahead(tokens, limit, ({ token }) => generated.push(token))) {
      signal.throwIfAborted();
      yield { kind: 'token', text: decoder.push(token), ...(likelihood && { likelihood }) };
      signal.throwIfAborted();
    }
    yield { kind: 'end', text: decoder.flush() };
  } catch (error) {
    // Aborts fall between batches, where the sequence is whole and its prefix worth keeping.
    if (!signal.aborted) await slots.renew(slot);
    throw error;
  }
}

/** The tokens as they come; with how likely each was where that is asked for, which the library takes time for. */
async function* evaluated(
  model: llamaCpp.Model,
  sequence: llamaCpp.Sequence,
  tokens: number[],
  options: llamaCpp.EvaluateOptions,
  likelihoods: number | undefined,
): AsyncGenerator<{ readonly token: number; readonly likelihood?: Likelihood }, void, void> {
  if (likelihoods === undefined) {
    for await (const token of sequence.evaluate(tokens, options)) yield { token };
    return;
  }
  const likely = (token: number, probability: number): Likely => ({
    text: model.detokenize([token], true),
    // The least that OpenAI's clients know: JSON has no infinity.
    logprob: probability > 0 ? Math.max(leastLogprob, Math.log(probability)) : leastLogprob,
  });
  const metadata = { confidence: true, probabilities: likelihoods > 0 } as const;
  for await (const next of sequence.evaluateWithMetadata(tokens, metadata, options)) {
    const { token, confidence, probabilities = new Map<number, number>() } = next;
    const top = firstOf(probabilities, likelihoods).map(([one, probability]) => likely(one, probability));
    yield { token, likelihood: { ...likely(token, confidence), top } };
  }
}

const leastLogprob = -9999;

/** Without a look at the rest of a vocabulary. */
function firstOf<K, V>(entries: ReadonlyMap<K, V>, count: number): [K, V][] {
  const first: [K, V][] = [];
  if (count === 0) return first;
  for (const entry of entries) if (first.push(entry) >= count) break;
  return first;
}

/** All but the last tokens, a batch at a time: once queued in the library they cannot be taken back. Returns the rest. */
async function evaluatePrompt(sequence: llamaCpp.Sequence, tokens: number[], pace: Pace, signal: AbortSignal) {
  let left = tokens;
  for (let size = pace.size(); left.length > size; size = pace.size()) {
    signal.throwIfAborted();
    const began = performance.now();
    await sequence.evaluateWithoutGeneratingNewTokens(left.slice(0, size));
    pace.took(size, performance.now() - began);
    left = left.slice(size);
  }
  signal.throwIfAborted();
  return left;
}

async function evaluateOptions(
  { library, llama, model, contextTokens }: Machinery,
  { sampling, shape }: { readonly sampling: Sampling; readonly shape: Shape },
  generated: number[],
): Promise<llamaCpp.EvaluateOptions> {
  const { repeatPenalty, frequencyPenalty, presencePenalty, logitBias, ...rest } = sampling;
  const penalised = repeatPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0;
  const grammar = await grammarFor(llama, shape);
  const bias = logitBias.size === 0 ? undefined : library.TokenBias.for(model);
  for (const [token, logit] of logitBias) bias?.set([token], { logit });
  return {
    ...rest,
    ...(grammar && { grammarEvaluationState: new library.LlamaGrammarEvaluationState({ model, grammar }) }),
    ...(bias && { tokenBias: bias }),
    ...(penalised && {
      repeatPenalty: {
        punishTokens: () => generated,
        // The whole answer, as OpenAI defines its penalties; a fixed number, so that the sampler is made only once.
        maxPunishTokens: contextTokens,
        penalty: repeatPenalty,
        frequencyPenalty,
        presencePenalty,
      },
    }),
  };
}

/** The context for embeddings is made on first use: most models are loaded to talk. */
function createEmbedder(model: llamaCpp.Model, options: EngineOptions, llama: llamaCpp.Llama) {
  const limit = Math.max(2, Math.min(options.contextTokens, model.trainContextSize));
  const { causal, pooled } = attention(model);
  const batchSize = causal && !pooled ? Math.min(options.batchTokens, limit) : limit;
  let context: Promise<llamaCpp.EmbeddingContext> | undefined;
  let bytes = 0;
  async function open(): Promise<llamaCpp.EmbeddingContext> {
    const before = await llama.getLlamaMemoryUsage();
    const opened = await model.createEmbeddingContext({
      contextSize: limit,
      batchSize,
      threads: options.threads,
      ignoreMemorySafetyChecks: true,
    });
    bytes = Math.max(0, (await llama.getLlamaMemoryUsage()).cpuRam - before.cpuRam);
    return opened;
  }
  const ready = () =>
    (context ??= open().catch((error: unknown) => {
      // The next request tries anew: memory may have been the reason.
      context = undefined;
      throw error;
    }));
  return {
    limit,
    bytes: () => bytes,
    // Both calls add the begin and end tokens the model wants, in place: each gets a copy.
    length: async (tokens: readonly number[]) => (await ready()).calculateInputLength([...tokens]),
    embed: async (tokens: readonly number[]) => (await (await ready()).getEmbeddingFor([...tokens])).vector,
    async close() {
      await (await context)?.dispose();
    },
  };
}
