import { isRecord } from '#kernel/json';

/** Characters of a body for a token of its prompt: English has 4 or 5, most other text fewer, and JSON adds its own. */
const charactersPerToken = 4;
/** Tokens of a picture or a sound that is sent along: its bytes say nothing of that. */
const tokensOfMedia = 1_000;
/** Tokens reserved for an answer to which the request sets no bound. */
const usualAnswer = 512;
/** What is nested deeper than any API asks for is not looked into. */
const deepest = 32;

const count = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : null;

function charactersIn(value: unknown, depth: number): number {
  if (typeof value === 'string') {
    return value.startsWith('data:') ? tokensOfMedia * charactersPerToken : value.length;
  }
  if (typeof value === 'number') return charactersPerToken;
  if (depth === 0) return 0;
  const parts: readonly unknown[] = Array.isArray(value) ? value : isRecord(value) ? Object.values(value) : [];
  return parts.reduce<number>((sum, part) => sum + charactersIn(part, depth - 1), 0);
}

/** What a call to an engine may come to. It is only reserved: what counts in the end is what the engine says. */
export function estimateOf(question: Readonly<Record<string, unknown>>): {
  readonly prompt: number;
  readonly tokens: number;
} {
  const { messages, prompt: text, input, tools, query, documents } = question;
  const prompt = Math.ceil(
    charactersIn([messages, text, input, tools, query, documents], deepest) / charactersPerToken,
  );
  const generates = messages !== undefined || text !== undefined;
  if (!generates) return { prompt, tokens: prompt };
  const answer = count(question.max_completion_tokens) ?? count(question.max_tokens) ?? usualAnswer;
  return { prompt, tokens: prompt + answer * (count(question.n) ?? 1) };
}
