export interface Pace {
  /** Tokens of a prompt to evaluate at once now. */
  size(): number;
  /** What a batch took, in milliseconds. */
  took(tokens: number, ms: number): void;
}

/** How much a batch counts beside those before it. */
const weight = 0.3;
/** Sizes are multiples of it, as far as `most` allows: below it a batch costs nearly as much as one of it. */
const step = 8;

/**
 * How many tokens of a prompt are evaluated at once: as many as take about `wantedMs`, since neither a client's leaving
 * nor another stream's next token is heard before a batch has ended. A fast machine takes `most`.
 */
export function createPace(most: number, wantedMs = 150): Pace {
  let perToken: number | undefined;
  return {
    size() {
      // Unknown at first: half of it is soon over anywhere, and tells.
      const fits = perToken === undefined ? most / 2 : wantedMs / perToken;
      return Math.min(most, Math.max(step, Math.floor(fits / step) * step));
    },
    took(tokens, ms) {
      const seen = ms / tokens;
      perToken = perToken === undefined ? seen : perToken + weight * (seen - perToken);
    },
  };
}
