import type { Engine, Likelihood, Sampling, Shape } from './contract.ts';
import { createJsonEnd, createTextGate } from './text.ts';

/** One evaluation: from a prompt to where its text ends. */
export interface Pass {
  readonly tokens: readonly number[];
  readonly sampling: Sampling;
  readonly shape: Shape;
  readonly stops: readonly string[];
  /** The first of them that is met ends the pass, without being a part of its text. */
  readonly markers?: readonly string[];
  /** Tokens to generate at most. */
  readonly limit: number;
  /** As in the engine's contract. */
  readonly likelihoods?: number | undefined;
}

/** `stop` by the model or a stop string, `whole` by the shape being complete. */
export type PassEnd = 'stop' | 'whole' | 'length' | 'marker';

export interface PassMeter {
  /** How much of the prompt the slot held already. */
  cached(tokens: number): void;
  token(likelihood: Likelihood | undefined): void;
  /** A stop string ended it. */
  stopped(by: string): void;
}

/** Yields the text as it comes; returns why it ended. */
export async function* run(
  engine: Engine,
  slot: number,
  pass: Pass,
  meter: PassMeter,
  signal: AbortSignal,
): AsyncGenerator<string, PassEnd, void> {
  const { shape, limit } = pass;
  if (limit <= 0) return 'length';
  const stops = createTextGate(pass.stops);
  const marker = createTextGate(pass.markers ?? []);
  const endOf = createEnd(shape);
  let generated = 0;
  for await (const event of engine.generate(slot, pass.tokens, pass, signal)) {
    if (event.kind === 'prompt') {
      meter.cached(event.cachedTokens);
      continue;
    }
    if (event.kind === 'token') {
      generated++;
      meter.token(event.likelihood);
    }
    const end = endOf(event.text);
    const stopped = stops.push(end ?? event.text);
    const marked = marker.push(stopped.text);
    if (stopped.by !== undefined && !marked.stopped) meter.stopped(stopped.by);
    if (marked.text !== '') yield marked.text;
    if (marked.stopped) return 'marker';
    if (stopped.stopped || end !== undefined || event.kind === 'end' || generated >= limit) {
      const held = marker.push(stopped.stopped ? '' : stops.flush());
      const rest = held.text + (held.stopped ? '' : marker.flush());
      if (rest !== '') yield rest;
      if (held.stopped) return 'marker';
      if (end !== undefined) return 'whole';
      return stopped.stopped || event.kind === 'end' ? 'stop' : 'length';
    }
  }
  return 'stop';
}

/** Tells where the text of a shape is complete: then it returns what of the new text still belongs to it. */
function createEnd(shape: Shape): (text: string) => string | undefined {
  if (shape.kind === 'text') return () => undefined;
  if (shape.kind === 'choice') {
    let chosen = '';
    return (text) => {
      const before = chosen;
      chosen += text;
      const left = shape.options.filter((option) => option.startsWith(chosen));
      // Once only one is left the rest is no choice any more.
      return chosen !== '' && left.length === 1 ? left[0]?.slice(before.length) : undefined;
    };
  }
  const jsonEnd = createJsonEnd();
  return (text) => {
    const end = jsonEnd(text);
    return end === undefined ? undefined : text.slice(0, end);
  };
}
