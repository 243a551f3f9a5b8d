/** Lets text through up to the first stop string, and holds back what may still become one. */
export interface TextGate {
  /** `stopped`: a stop string was met, which is `by`. It and what follows it are not in `text`. */
  push(text: string): { readonly text: string; readonly stopped: boolean; readonly by?: string };
  /** What was held back, once nothing more will come. */
  flush(): string;
}

export function createTextGate(stops: readonly string[]): TextGate {
  const wanted = stops.filter((stop) => stop.length > 0);
  let held = '';
  return {
    push(text) {
      held += text;
      const met = firstStop(held, wanted);
      if (met) {
        const before = held.slice(0, met.at);
        held = '';
        return { text: before, stopped: true, by: met.stop };
      }
      const keep = longestBeginning(held, wanted);
      const out = held.slice(0, held.length - keep);
      held = held.slice(held.length - keep);
      return { text: out, stopped: false };
    },
    flush() {
      const rest = held;
      held = '';
      return rest;
    },
  };
}

/** The earliest of the stop strings, and where it begins. */
function firstStop(text: string, stops: readonly string[]): { readonly stop: string; readonly at: number } | undefined {
  const found = stops.map((stop) => ({ stop, at: text.indexOf(stop) })).filter(({ at }) => at >= 0);
  return found.sort((a, b) => a.at - b.at)[0];
}

/** The length of the longest end of `text` that is the beginning of a stop string. */
function longestBeginning(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (stop.startsWith(text.slice(text.length - length))) longest = length;
    }
  }
  return longest;
}

/**
 * Tells where the first JSON object in a text ends. A grammar allows a model to go on with line breaks after it; waiting
 * for those would cost tokens that say nothing.
 */
export function createJsonEnd(): (text: string) => number | undefined {
  let depth = 0;
  let inString = false;
  let escaped = false;
  return (text) => {
    for (let at = 0; at < text.length; at++) {
      const char = text[at];
      if (inString) {
        if (escaped) escaped = false;
        else if (char === '\\') escaped = true;
        else if (char === '"') inString = false;
      } else if (char === '"') inString = true;
      else if (char === '{' || char === '[') depth++;
      else if ((char === '}' || char === ']') && --depth === 0) return at + 1;
    }
    return undefined;
  };
}
