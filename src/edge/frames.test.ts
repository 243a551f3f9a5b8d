import fc from 'fast-check';
import { expect, it } from 'vitest';
import { chunkOf, lastChunk } from './frames.ts';
import { createChunked } from './transport/chunked.ts';

it('frames what a reader of chunks reads as the same bytes', () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 5_000 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(pieces, fc.boolean(), (arrays, isLast) => {
      const given = arrays.map((array) => Buffer.from(array));
      const bytes = chunkOf(given, isLast ? lastChunk : '');
      const read: Buffer[] = [];
      const body = createChunked();
      const to = body.take(bytes, 0, (all, from, end) => read.push(all.subarray(from, end)) > 0);
      expect(to).toBe(bytes.byteLength);
      expect(body.isOver).toBe(isLast);
      expect(Buffer.concat(read)).toEqual(Buffer.concat(given));
    }),
  );
});
