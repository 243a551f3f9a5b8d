import { randomInt } from 'node:crypto';
import { answer, sendJson, type Exchange, type Renderer } from './answer.ts';
import { chatAnswer, chatChunk, chatUsageChunk, chatFields, parseChat, pieceDelta, type Envelope } from './chat.ts';
import {
  completionAnswer,
  completionChunk,
  completionUsageChunk,
  parseCompletion,
  tokenPrompt,
} from './completions.ts';
import { contextExceeded } from './errors.ts';
import { embeddingsAnswer, normalise, parseEmbeddings, type EmbeddingInput } from './embeddings.ts';
import { checkFits, checkLength } from './generation.ts';
import type { Json } from './json.ts';
import { flag, parse, text } from './params.ts';
import { bodyObject, samplingOf, stopsOf, streamOf } from './sampling.ts';
import type { SlotPool } from './slots.ts';
import type { ChatMessage, Engine, Prompt, Tool } from './contract.ts';
import { toolFields, toolUseOf } from './tools.ts';

export interface Call extends Exchange {
  readonly body: Json;
  readonly modelId: string;
  /** Seconds since 1970. */
  readonly created: number;
  /** One place: the context for embeddings holds one text at a time. */
  readonly embedding: SlotPool;
}

const randomSeed = () => randomInt(0x1_0000_0000);

/** What a template is given to write out; of a call and a tool as JSON, which is about what templates make of them. */
function charactersOf(messages: readonly ChatMessage[], tools: readonly Tool[]): number {
  const written = (value: unknown) => JSON.stringify(value).length;
  const said = messages.map((message) => {
    const calls = message.role === 'assistant' && message.calls ? written(message.calls) : 0;
    return message.text.length + calls;
  });
  // Not the grammar: the model does not read it.
  const told = tools.map(({ name, description, parameters }) => written({ name, description, parameters }));
  return [...said, ...told].reduce((sum, length) => sum + length, 0);
}

function chatPrompt(engine: Engine, messages: readonly ChatMessage[], tools: readonly Tool[] = []): Prompt {
  checkLength(engine.contextTokens, charactersOf(messages, tools), 'messages');
  return engine.renderChat(messages, tools);
}

export async function chat(call: Call): Promise<void> {
  const { params, messages, maxTokens, shape, likelihoods } = parseChat(call.body);
  const choice = streamOf(params);
  const sampling = samplingOf(params, call.engine.vocabulary, randomSeed, likelihoods !== undefined);
  const stops = stopsOf(params);
  const toolUse = toolUseOf(params);
  const prompt = chatPrompt(call.engine, messages, toolUse?.tools);
  checkFits(call.engine, prompt, 'messages');
  const envelope = envelopeOf(call, 'chatcmpl-');
  const withUsage = choice.includeUsage;
  const renderer: Renderer = {
    opening: (index) => [chatChunk(envelope, { role: 'assistant', content: '' }, { choice: index, withUsage })],
    piece: (index, piece) =>
      chatChunk(envelope, pieceDelta(envelope, index, piece), {
        ...{ choice: index, withUsage },
        likelihoods: piece.kind === 'text' ? piece.likelihoods : undefined,
      }),
    closing: (index, { reason, stoppedBy }) => chatChunk(envelope, {}, { choice: index, reason, stoppedBy, withUsage }),
    usage: (usage) => chatUsageChunk(envelope, usage),
    whole: (answers, usage) => chatAnswer(envelope, answers, usage),
  };
  const options = { maxTokens, stops, sampling, shape, toolUse, likelihoods };
  await answer(call, { prompt, options, choice, count: params.n ?? 1 }, renderer);
}

export async function completion(call: Call): Promise<void> {
  const { engine } = call;
  const { params, prompt: raw, maxTokens } = parseCompletion(call.body);
  const choice = streamOf(params);
  const sampling = samplingOf(params, engine.vocabulary, randomSeed);
  const stops = stopsOf(params);
  if (typeof raw === 'string') checkLength(engine.contextTokens, raw.length, 'prompt');
  const prompt = typeof raw === 'string' ? engine.renderText(raw) : tokenPrompt(raw, engine.vocabulary, 'prompt');
  checkFits(engine, prompt, 'prompt');
  const envelope = envelopeOf(call, 'cmpl-');
  const withUsage = choice.includeUsage;
  const renderer: Renderer = {
    opening: () => [],
    // No tools are offered here, so that every piece is text.
    piece: (index, piece) =>
      completionChunk(envelope, piece.kind === 'text' ? piece.text : '', { choice: index, withUsage }),
    closing: (index, { reason }) => completionChunk(envelope, '', { choice: index, reason, withUsage }),
    usage: (usage) => completionUsageChunk(envelope, usage),
    whole: (answers, usage) => completionAnswer(envelope, answers, usage),
  };
  const options = { maxTokens, stops, sampling, shape: { kind: 'text' } as const };
  await answer(call, { prompt, options, choice, count: params.n ?? 1 }, renderer);
}

const envelopeOf = (call: Call, prefix: string): Envelope => ({
  id: `${prefix}${call.id}`,
  created: call.created,
  model: call.modelId,
});

export async function embeddings(call: Call): Promise<void> {
  const { engine, signal } = call;
  const { inputs, encoding } = parseEmbeddings(call.body);
  const texts = inputs.map((input) => embeddingTokens(engine, input));
  const place = await call.embedding.acquire([], signal);
  try {
    // All are measured before any is evaluated: one that is too long must not cost the work for the others.
    let promptTokens = 0;
    for (const tokens of texts) promptTokens += await embeddingLength(engine, tokens);
    const vectors: (readonly number[])[] = [];
    for (const tokens of texts) {
      signal.throwIfAborted();
      vectors.push(normalise(await engine.embed(tokens)));
    }
    call.log('embeddings', { id: call.id, texts: texts.length, promptTokens });
    sendJson(call.response, 200, embeddingsAnswer(call.modelId, vectors, promptTokens, encoding));
  } finally {
    place.release();
  }
}

function embeddingTokens(engine: Engine, input: EmbeddingInput): readonly number[] {
  if (typeof input !== 'string') return tokenPrompt(input, engine.vocabulary, 'input').tokens;
  checkLength(engine.embeddingTokens, input.length, 'input');
  return engine.tokenize(input);
}

async function embeddingLength(engine: Engine, tokens: readonly number[]): Promise<number> {
  const length = await engine.embeddingLength(tokens);
  if (length > engine.embeddingTokens) throw contextExceeded(engine.embeddingTokens, length, 'input');
  return length;
}

/** Tokens of a text, or of a conversation as the model's template makes it. `add_special`: with the begin token. */
export async function tokenize(call: Call): Promise<void> {
  const { engine } = call;
  const fields = { content: text, messages: chatFields.messages, tools: toolFields.tools, add_special: flag };
  const { content, messages, tools, add_special: special } = parse(bodyObject(call.body), fields);
  if (messages) return sendJson(call.response, 200, { tokens: chatPrompt(engine, messages, tools).tokens });
  const given = text(content ?? null, 'content');
  const tokens = special === true ? engine.renderText(given).tokens : engine.tokenize(given);
  sendJson(call.response, 200, { tokens });
}
