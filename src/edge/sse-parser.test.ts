import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSseParser } from './sse-parser.ts';

const pieces = (bytes: Buffer, cuts: readonly number[]): Buffer[] => {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
};
const line = fc.string({ unit: 'binary' }).map((text) => text.replaceAll(/[\r\n]/g, ''));

describe('server-sent events', () => {
  it('are the same wherever the pieces end', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(line, { minLength: 1, maxLength: 3 })),
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.array(fc.nat()),
        (events, end, cuts) => {
          const text = events.map((lines) => lines.map((one) => `data: ${one}${end}`).join('') + end).join('');
          const parser = createSseParser();
          // A carriage return at the very end may still become a line's end: what follows tells.
          const seen = pieces(Buffer.from(`${text}:\n`), cuts).flatMap((piece) => parser.push(piece));
          expect(seen).toEqual(events.map((lines) => Buffer.from(lines.join('\n')).toString()));
        },
      ),
    );
  });

  it('leave out comments, names and ids', () => {
    const text = ': waiting\n\nevent: x\nid: 1\ndata:{"a":1}\n\nevent: empty\n\ndata: last';
    expect(createSseParser().push(Buffer.from(text))).toEqual(['{"a":1}']);
  });
});
