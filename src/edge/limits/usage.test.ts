import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createUsageScan, findUsage } from './usage-scan.ts';
import { createUsageStream } from './usage-stream.ts';
import type { UsageStreamOptions } from './usage-stream.ts';

/** A text cut at these places. */
const cut = (text: string, places: readonly number[]): Buffer[] => {
  const bytes = Buffer.from(text);
  const at = [...new Set(places.map((place) => place % bytes.length))].sort((a, b) => a - b);
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
};
const cuts = fc.array(fc.nat(), { maxLength: 12 });

const usage =
  '{"prompt_tokens":11,"completion_tokens":4,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":3}}';

function scanned(text: string, places: readonly number[]): number | null {
  let found: number | null = null;
  const scan = createUsageScan((tokens) => void (found = tokens));
  for (const piece of cut(text, places)) scan(piece);
  return found;
}

describe('the usage in an answer of one piece', () => {
  it.each([
    ['at its end', `{"choices":[{"text":"a"}],"usage":${usage}}`, 15],
    ['at its beginning', `{"usage":${usage},"data":[{"embedding":"${'A'.repeat(9_000)}"}]}`, 15],
    ['spread over lines', `{\n  "usage" : {\n "prompt_tokens" : 7, "total_tokens": 7 } ,\n "data": [] }`, 7],
    ['with a total alone', '{"results":[],"usage":{"total_tokens":9}}', 9],
    ['with a text that is its name', `{"text":"usage","usage":${usage}}`, 15],
  ])('is found %s, however it is cut', (_, text, tokens) => {
    const found = fc.property(cuts, (places) => void expect(scanned(text, places)).toBe(tokens));
    fc.assert(found, { numRuns: 50 });
  });

  it('is not taken from what a model says', () => {
    const said = JSON.stringify({ text: `"usage":${usage}`, usage: null });
    expect(scanned(said, [])).toBeNull();
    expect(findUsage(Buffer.from('{"data":[]}'))).toBeNull();
  });
});

const chunk = (text: string, more = '') => `data: {"choices":[{"delta":{"content":"${text}"}}]${more}}\n\n`;
const last = `data: {"id":"x","choices":[],"usage":${usage}}\n\n`;
const done = 'data: [DONE]\n\n';

function streamed(text: string, shown: UsageStreamOptions['shown'], places: readonly number[] = []) {
  let tokens: number | null = null;
  let events = 0;
  const onUsage = (count: number) => void (tokens = count);
  const stream = createUsageStream({ shown, onUsage, onEvent: () => void events++ });
  const out = Buffer.concat([...cut(text, places).map((piece) => stream.push(piece)), stream.end()]);
  return { out: out.toString(), tokens, events };
}

describe('the usage in a stream', () => {
  const plain = chunk('a') + ': a comment\n\n' + chunk('é') + done;
  const asked = chunk('a', ',"usage":null') + ': a comment\n\n' + chunk('é', ',"usage":null') + last + done;
  const running = (count: number) => `,"usage":{"prompt_tokens":11,"completion_tokens":${count}}`;
  const continuous = chunk('a', running(1)) + ': a comment\n\n' + chunk('é', running(2)) + last + done;

  it('is counted and not shown to who did not ask for it, to the byte, however it is cut', () => {
    fc.assert(
      fc.property(cuts, (places) => {
        for (const text of [asked, continuous]) {
          expect(streamed(text, 'none', places)).toEqual({ out: plain, tokens: 15, events: 4 });
        }
      }),
    );
  });

  it('is shown at the end to who asked for that', () => {
    expect(streamed(asked, 'last').out).toBe(asked);
    expect(streamed(continuous, 'last').out).toBe(asked);
    expect(streamed(continuous, 'all').out).toBe(continuous);
  });

  it('is what was told last when the client leaves', () => {
    expect(streamed(chunk('a', running(1)) + chunk('b', running(2)), 'none').tokens).toBe(13);
    expect(streamed(plain, 'none')).toEqual({ out: plain, tokens: null, events: 3 });
  });

  it('passes lines of another kind of stream, and one without an end', () => {
    const text = 'event: message\r\ndata: {"usage"\r\n\r\ndata: tail';
    expect(streamed(text, 'none').out).toBe(text);
  });
});
