import type { Engine, Prompt, Sampling, Shape } from './contract.ts';
import { contextExceeded } from './errors.ts';
import type { SlotPool } from './slots.ts';
import { createJsonEnd, createTextGate } from './text.ts';

export interface GenerationOptions {
  /** Tokens to generate at most; undefined: as many as the context has room for. */
  readonly maxTokens: number | undefined;
  readonly stops: readonly string[];
  readonly sampling: Sampling;
  readonly shape: Shape;
}

export interface Usage {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

export type GenerationEvent =
  /** A slot was granted: from here on the request is being worked on. */
  | { readonly kind: 'started'; readonly slot: number }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'done'; readonly reason: 'stop' | 'length'; readonly usage: Usage; readonly timing: Timing };

/** Milliseconds. */
export interface Timing {
  readonly waited: number;
  readonly prompt: number;
  readonly generation: number;
}

export interface GenerationHost {
  readonly engine: Engine;
  readonly pool: SlotPool;
  readonly now: () => number;
}

/** @throws `context_length_exceeded` where the prompt leaves no room for even one token. */
export function checkFits(engine: Engine, prompt: Prompt, param: string): void {
  if (prompt.tokens.length >= engine.contextTokens) {
    throw contextExceeded(engine.contextTokens, prompt.tokens.length, param);
  }
}

// The longest tokens in use are runs of spaces of 128 or 256 characters.
const longestToken = 512;

/** Refuses what cannot fit whatever its tokens are: finding the tokens of megabytes would hold up every other stream. */
export function checkLength(limitTokens: number, characters: number, param: string): void {
  const least = Math.ceil(characters / longestToken);
  if (least > limitTokens) throw contextExceeded(limitTokens, least, param, true);
}

/**
 * One answer, from waiting for a slot to its last token. The slot is given back however this ends; a consumer that
 * stops iterating ends the generation.
 */
export async function* generation(
  { engine, pool, now }: GenerationHost,
  prompt: Prompt,
  options: GenerationOptions,
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent, void, void> {
  const asked = now();
  const slot = await pool.acquire(prompt.tokens, signal);
  try {
    const granted = now();
    yield { kind: 'started', slot: slot.id };
    const gate = createTextGate([...options.stops, ...prompt.stops]);
    const jsonEnd = options.shape.kind === 'text' ? undefined : createJsonEnd();
    const room = engine.contextTokens - prompt.tokens.length;
    const limit = Math.min(options.maxTokens ?? room, room);
    let cachedTokens = 0;
    let completionTokens = 0;
    let evaluated: number | undefined;
    let reason: 'stop' | 'length' = 'length';
    for await (const event of engine.generate(slot.id, prompt.tokens, options, signal)) {
      if (event.kind === 'prompt') {
        cachedTokens = event.cachedTokens;
        continue;
      }
      if (event.kind === 'token') completionTokens++;
      evaluated ??= now();
      const end = jsonEnd?.(event.text);
      const { text, stopped } = gate.push(end === undefined ? event.text : event.text.slice(0, end));
      if (text !== '') yield { kind: 'text', text };
      if (stopped || end !== undefined || event.kind === 'end') {
        if (!stopped) yield* rest(gate.flush());
        reason = 'stop';
        break;
      }
      if (completionTokens >= limit) {
        yield* rest(gate.flush());
        break;
      }
    }
    const started = evaluated ?? now();
    yield {
      kind: 'done',
      reason,
      usage: { promptTokens: prompt.tokens.length, cachedTokens, completionTokens },
      timing: { waited: granted - asked, prompt: started - granted, generation: now() - started },
    };
  } finally {
    slot.release();
  }
}

function* rest(text: string): Generator<GenerationEvent> {
  if (text !== '') yield { kind: 'text', text };
}
