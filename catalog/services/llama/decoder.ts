import type * as llamaCpp from './llama-cpp.ts';

/** Tokens looked back on to know whether a word begins with a space. */
const lookBack = 8;
/** A character has at most four bytes, each perhaps a token; a broken one is let through rather than held for ever. */
const longestPending = 4;

/**
 * Tokens to text. A token may hold a part of a character: it waits for the rest. `special`: with those that are marks of the
 * template, as some models begin calls with.
 */
export function createDecoder(model: Pick<llamaCpp.Model, 'detokenize'>, prompt: readonly number[], special = false) {
  let before = prompt.slice(-lookBack);
  let pending: number[] = [];
  const decoded = (): string => model.detokenize(pending, special, before);
  const take = (text: string): string => {
    before = [...before, ...pending].slice(-lookBack);
    pending = [];
    return text;
  };
  return {
    push(token: number): string {
      pending.push(token);
      const text = decoded();
      return text.endsWith('\uFFFD') && pending.length < longestPending ? '' : take(text);
    },
    flush: (): string => (pending.length === 0 ? '' : take(decoded())),
  };
}
