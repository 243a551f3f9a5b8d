const key = Buffer.from('"usage"');
/** Bytes of one account of usage at most: what is longer is none. */
const longest = 4096;

const [brace, closing, comma, colon] = ['{', '}', ',', ':'].map((sign) => sign.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
];
const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/** Where a member `"usage": {...}` or `"usage": null` of a JSON text stands. */
export interface UsagePlace {
  readonly start: number;
  /** Behind its value. */
  readonly end: number;
  /** Of its object; null where the value is none. */
  readonly object: number | null;
}

/**
 * The last member of that name in a text; `cut` when it goes on beyond the end of the text. In a text within the text the
 * quotes are escaped, so that nothing which a model says is taken for it.
 */
export function findUsage(text: Buffer): UsagePlace | 'cut' | null {
  for (let start = text.lastIndexOf(key); start >= 0; start = start === 0 ? -1 : text.lastIndexOf(key, start - 1)) {
    let at = afterSpace(text, start + key.length);
    if (at >= text.length) return 'cut';
    // A text that is nothing but this word is followed by something else.
    if (text[at] !== colon) continue;
    at = afterSpace(text, at + 1);
    if (at >= text.length) return 'cut';
    return valueAt(text, start, at);
  }
  return null;
}

function afterSpace(text: Buffer, from: number): number {
  let at = from;
  while (isSpace(text[at])) at++;
  return at;
}

function valueAt(text: Buffer, start: number, at: number): UsagePlace | 'cut' | null {
  if (text[at] !== brace) {
    if (text.length - at < 4) return 'cut';
    return text.toString('latin1', at, at + 4) === 'null' ? { start, end: at + 4, object: null } : null;
  }
  // Only numbers and objects of them stand in it: no text in which a brace could.
  let depth = 0;
  for (let end = at; end < text.length; end++) {
    if (text[end] === brace) depth++;
    else if (text[end] === closing && --depth === 0) return { start, end: end + 1, object: at };
  }
  return 'cut';
}

/** A text without the member, and without the comma that parted it from its neighbour. */
export function withoutUsage(text: Buffer, { start, end }: UsagePlace): Buffer {
  let from = start;
  while (isSpace(text[from - 1])) from--;
  if (text[from - 1] === comma) return Buffer.concat([text.subarray(0, from - 1), text.subarray(end)]);
  const to = afterSpace(text, end);
  return Buffer.concat([text.subarray(0, start), text.subarray(text[to] === comma ? to + 1 : to)]);
}

const promptTokens = /"prompt_tokens"\s*:\s*(\d+)/;
const completionTokens = /"completion_tokens"\s*:\s*(\d+)/;
const totalTokens = /"total_tokens"\s*:\s*(\d+)/;

/** Tokens of prompt and answer together, or null where the text is no account of them. */
export function tokensOf(bytes: Buffer): number | null {
  const text = bytes.toString('latin1');
  const prompt = promptTokens.exec(text);
  const completion = completionTokens.exec(text);
  if (prompt ?? completion) return Number(prompt?.[1] ?? 0) + Number(completion?.[1] ?? 0);
  const total = totalTokens.exec(text);
  return total ? Number(total[1]) : null;
}

/** Finds the usage in an answer that comes in pieces, wherever it stands and however it is cut. */
export function createUsageScan(onUsage: (tokens: number) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    const text = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const place = findUsage(text);
    if (place === 'cut') {
      const from = text.lastIndexOf(key);
      rest = text.length - from > longest ? Buffer.alloc(0) : text.subarray(from);
      return;
    }
    const tokens = place?.object == null ? null : tokensOf(text.subarray(place.object, place.end));
    if (tokens !== null) onUsage(tokens);
    rest = text.subarray(Math.max(place?.end ?? 0, text.length - key.length + 1));
  };
}
