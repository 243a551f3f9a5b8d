import type { GenerationEvent } from './generation.ts';

type Done = Extract<GenerationEvent, { kind: 'done' }>;

export interface MeterReading {
  readonly requests: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** Of the last answer of which it could be told; null before the first. */
  readonly tokensPerSecond: { readonly prompt: number | null; readonly generation: number | null };
}

export interface Meter {
  add(done: Done): void;
  read(): MeterReading;
}

const rate = (tokens: number, ms: number): number | null =>
  tokens > 0 && ms > 0 ? Math.round((tokens / ms) * 10_000) / 10 : null;

export function createMeter(): Meter {
  let reading: MeterReading = {
    requests: 0,
    promptTokens: 0,
    cachedTokens: 0,
    completionTokens: 0,
    tokensPerSecond: { prompt: null, generation: null },
  };
  return {
    add({ usage, timing }) {
      const before = reading.tokensPerSecond;
      const evaluated = usage.promptTokens - usage.cachedTokens;
      reading = {
        requests: reading.requests + 1,
        promptTokens: reading.promptTokens + usage.promptTokens,
        cachedTokens: reading.cachedTokens + usage.cachedTokens,
        completionTokens: reading.completionTokens + usage.completionTokens,
        tokensPerSecond: {
          prompt: rate(evaluated, timing.prompt) ?? before.prompt,
          // The first token belongs to the prompt: its time is the prompt's.
          generation: rate(usage.completionTokens - 1, timing.generation) ?? before.generation,
        },
      };
    },
    read: () => reading,
  };
}
