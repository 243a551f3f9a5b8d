import type { Batching, BatchItem, PrioritizedItem } from './llama-cpp.ts';

/** How the next tokens of several streams are computed: in one batch, or one stream after the other. */
type Way = 'together' | 'inTurn';

/** Tokens by which a way is judged at first, and each time that the other one is tried again. */
const trialTokens = 32;
/** Tokens after which the way not taken is tried anew: the load, or the length of the conversations, is another by then. */
const retrialTokens = 2_048;
/** How much a batch counts beside those before it. */
const weight = 0.2;
/** A gap of so many times what a token took tells of idle streams, and nothing of the way. */
const idleFactor = 4;

/**
 * What goes into a batch, and when it is begun. While prompts are among the items, all share it fairly. Where each
 * stream wants its next token only, the way that takes less time a token is found by measuring: a batch reads the
 * weights once, which counts where memory is what a model waits for; but one thread computes a small model's batch of
 * four more slowly than four single tokens, and between those the streams' own work is hidden behind the next one's
 * computation.
 *
 * @param now milliseconds of a monotonic clock
 */
export function createBatching(now: () => number = () => performance.now()): Batching {
  const ways = createWays();
  let last: { readonly at: number; readonly way: Way; readonly tokens: number } | undefined;
  return {
    dispatchSchedule(dispatch) {
      // Streams that are computed together come one after the other. A stream alone waits for nobody: its next token is
      // begun before its last one is sent.
      if (last?.way === 'together') setImmediate(dispatch);
      else queueMicrotask(dispatch);
    },
    itemPrioritizationStrategy({ items, size }) {
      const at = now();
      const generating = items.length > 1 && items.every(({ tokens }) => tokens.length === 1);
      if (generating && last) ways.took(last.way, last.tokens, at - last.at);
      const way = generating ? ways.next() : undefined;
      const chosen = shared(way === 'inTurn' ? items.slice(0, 1) : items, size);
      last = way && { at, way, tokens: chosen.length };
      return chosen;
    },
  };
}

/** Which way is the cheaper one, by what its batches took. Both are tried first; now and then the other one again. */
function createWays() {
  const perToken = new Map<Way, number>();
  let current: Way = 'together';
  let trial = true;
  let left = trialTokens;
  const learn = (way: Way, seen: number): void => {
    const before = perToken.get(way);
    if (before === undefined) perToken.set(way, seen);
    else if (seen < before * idleFactor) perToken.set(way, before + weight * (seen - before));
  };
  const turn = (): void => {
    const [together, inTurn] = [perToken.get('together'), perToken.get('inTurn')];
    const other = current === 'together' ? 'inTurn' : 'together';
    const decided = trial && together !== undefined && inTurn !== undefined;
    current = decided ? (inTurn < together ? 'inTurn' : 'together') : other;
    trial = !decided;
    left = trial ? trialTokens : retrialTokens;
  };
  return {
    next: () => current,
    took(way: Way, tokens: number, ms: number) {
      learn(way, ms / tokens);
      left -= tokens;
      if (left <= 0) turn();
    },
  };
}

/** An equal share each; what some leave goes to the others, the first come first. */
function shared(items: readonly BatchItem[], size: number): PrioritizedItem[] {
  const share = Math.max(1, Math.floor(size / items.length));
  let left = size;
  const amounts = items.map(({ tokens }) => {
    const amount = Math.min(tokens.length, share, left);
    left -= amount;
    return amount;
  });
  return items.flatMap((item, i) => {
    const least = amounts[i] ?? 0;
    const more = Math.min(item.tokens.length - least, left);
    left -= more;
    return least + more > 0 ? [{ item, processAmount: least + more }] : [];
  });
}
