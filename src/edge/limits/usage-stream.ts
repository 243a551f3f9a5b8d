import { findUsage, tokensOf, withoutUsage } from './usage-scan.ts';

const lineFeed = 0x0a;
const noChoices = /"choices"\s*:\s*\[\s*\]/;

/** What the client sees of usage: as the engine tells it; only at the end, as it asked; nothing, as it did not. */
export type Shown = 'all' | 'last' | 'none';

/** A stream whose rest somebody else reads, with a `UsageStream` of its own. */
export interface CountedRest {
  readonly shown: Shown;
  /** Whether it stands between two events. */
  isBetween(): boolean;
  /** What was found since it was told last. */
  add(events: number, reported: number | null): void;
}

export interface UsageStream {
  /** Whether nothing of it is held, and the next line begins an event. */
  readonly isBetween: boolean;
  /** What goes on to the client of a piece of the stream: perhaps nothing. */
  push(chunk: Buffer): Buffer;
  /** What is left when the stream ends. */
  end(): Buffer;
}

export interface UsageStreamOptions {
  readonly onUsage: (tokens: number) => void;
  readonly onEvent: () => void;
  readonly shown: Shown;
}

const empty = Buffer.alloc(0);
/** Bytes of a line at most that wait for its end: a longer one is none that a model's engine sends. */
const longestLine = 2 ** 20;

/**
 * Reads usage out of a stream of server-sent events, and takes out of it what the client did not ask for. Lines without the
 * word pass as they are; nothing is parsed but an account of usage itself.
 */
export function createUsageStream({ onUsage, onEvent, shown }: UsageStreamOptions): UsageStream {
  let rest: Buffer = empty;
  /** The blank line that ends an event of which nothing is left goes with it. */
  let dropBlank = false;

  const line = (text: Buffer): Buffer => {
    const blank = text.length <= 2 && text.toString('latin1').trim() === '';
    if (blank) {
      const dropped = dropBlank;
      dropBlank = false;
      return dropped ? empty : text;
    }
    dropBlank = false;
    if (text.indexOf('data:') !== 0) return text;
    onEvent();
    const place = findUsage(text);
    if (place === null || place === 'cut') return text;
    if (place.object !== null) {
      const tokens = tokensOf(text.subarray(place.object, place.end));
      if (tokens !== null) onUsage(tokens);
    }
    if (shown === 'all') return text;
    const isLast = place.object !== null && noChoices.test(text.toString('latin1'));
    if (shown === 'last') return isLast || place.object === null ? text : nulled(text, place);
    dropBlank = isLast;
    return isLast ? empty : withoutUsage(text, place);
  };
  return {
    push(chunk) {
      const text = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const out: Buffer[] = [];
      let from = 0;
      for (let end = text.indexOf(lineFeed); end >= 0; end = text.indexOf(lineFeed, from)) {
        out.push(line(text.subarray(from, end + 1)));
        from = end + 1;
      }
      rest = text.subarray(from);
      if (rest.length > longestLine) {
        out.push(rest);
        rest = empty;
      }
      return out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out);
    },
    get isBetween() {
      return rest.length === 0 && !dropBlank;
    },
    end() {
      const last = rest.length === 0 ? empty : line(rest);
      rest = empty;
      return last;
    },
  };
}

/** As an engine tells it to who wants usage only at the end. */
const nulled = (text: Buffer, { object, end }: { readonly object: number | null; readonly end: number }): Buffer =>
  Buffer.concat([text.subarray(0, object ?? end), Buffer.from('null'), text.subarray(end)]);
