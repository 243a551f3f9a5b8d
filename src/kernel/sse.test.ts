import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createSseParser } from './sse.ts';
import type { SseItem } from './sse.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const parse = (text: string) => createSseParser().push(bytes(text));

describe('the event stream', () => {
  test('gives events and comments in their order', () => {
    expect(parse(': {"phase":"starting"}\n\nevent: done\ndata: {}\n\ndata: a\ndata: b\n\n')).toEqual([
      { kind: 'comment', text: '{"phase":"starting"}' },
      { kind: 'event', event: 'done', data: '{}' },
      { kind: 'event', event: 'message', data: 'a\nb' },
    ]);
  });

  test('an event without data is none, and its name does not stick to the next', () => {
    expect(parse('event: lost\n\ndata: x\n\n')).toEqual([{ kind: 'event', event: 'message', data: 'x' }]);
  });

  test('takes one space after the colon away and no more; a field may have no colon', () => {
    expect(parse('data:  x\n\ndata\n\n')).toEqual([
      { kind: 'event', event: 'message', data: ' x' },
      { kind: 'event', event: 'message', data: '' },
    ]);
  });

  test('an event cut off by the end is not given out', () => {
    expect(parse('data: whole\n\ndata: half\n')).toEqual([{ kind: 'event', event: 'message', data: 'whole' }]);
  });

  test.each([
    ['one line', 'x'.repeat(2 ** 20)],
    ['many lines', `data: ${'x'.repeat(2 ** 20)}\n`],
  ])('an event that never ends, in %s, is not gathered for ever', (_, text) => {
    const parser = createSseParser();
    const piece = bytes(text);
    const endless = () => {
      for (let i = 0; i < 40; i++) parser.push(piece);
    };
    expect(endless).toThrow('too large');
  });

  test('a byte order mark and unknown fields are passed over', () => {
    expect(parse('\uFEFFid: 7\nretry: 3\ndata: x\n\n')).toEqual([{ kind: 'event', event: 'message', data: 'x' }]);
  });
});

test('property: wherever the bytes are cut, the same comes out', () => {
  const word = fc.string({ unit: fc.constantFrom('a', ' ', ':', '{', 'é', '漢', '🦊'), maxLength: 8 });
  const item: fc.Arbitrary<SseItem> = fc.oneof(
    fc.record({ kind: fc.constant('comment' as const), text: word }),
    fc.record({
      kind: fc.constant('event' as const),
      event: fc.constantFrom('message', 'progress', 'done'),
      data: fc.array(word, { minLength: 1, maxLength: 3 }).map((lines) => lines.join('\n')),
    }),
  );
  const written = (value: SseItem, end: string) =>
    value.kind === 'comment'
      ? `: ${value.text}${end}${end}`
      : `event: ${value.event}${end}${value.data
          .split('\n')
          .map((line) => `data: ${line}${end}`)
          .join('')}${end}`;
  fc.assert(
    fc.property(fc.array(item), fc.constantFrom('\n', '\r\n', '\r'), fc.array(fc.nat(7)), (items, end, cuts) => {
      const stream = bytes(items.map((value) => written(value, end)).join(''));
      const parser = createSseParser();
      const found: SseItem[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const length = 1 + (cuts[turn % Math.max(1, cuts.length)] ?? 0);
        found.push(...parser.push(stream.subarray(at, at + length)));
        at += length;
      }
      expect(found).toEqual(items);
    }),
  );
});
