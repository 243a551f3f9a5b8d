import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSseParser, readSse } from './sse.ts';

const parse = (...chunks: string[]) => {
  const parser = createSseParser();
  return chunks.flatMap((chunk) => parser.push(chunk));
};

describe('createSseParser', () => {
  it('reads events, comments, and data of several lines', () => {
    expect(parse(': hello\n\nevent: unit\ndata: {\ndata: }\n\ndata:plain\n\n')).toEqual([
      { kind: 'comment', text: 'hello' },
      { kind: 'event', event: 'unit', data: '{\n}' },
      { kind: 'event', event: 'message', data: 'plain' },
    ]);
  });

  it('drops an event without data, and one that was never finished', () => {
    expect(parse('event: unit\n\ndata: x\n')).toEqual([]);
  });

  it('does not let the name of an empty event reach the next one', () => {
    expect(parse('event: unit\n\ndata: x\n\n')).toEqual([{ kind: 'event', event: 'message', data: 'x' }]);
  });

  it('gives the same items wherever the text is cut, with any of the three line ends', () => {
    const text = ': c\n\nevent: a\ndata: one\ndata: two\n\ndata: three\n\n';
    fc.assert(
      fc.property(fc.constantFrom('\n', '\r\n', '\r'), fc.array(fc.nat(60)), (end, cuts) => {
        const whole = `${text.replaceAll('\n', end)}:\n`;
        const places = [0, ...cuts.toSorted((a, b) => a - b), whole.length];
        const pieces = places.slice(1).map((place, index) => whole.slice(places[index], place));
        expect(parse(...pieces)).toEqual(parse(`${text}:\n`));
      }),
    );
  });
});

describe('readSse', () => {
  it('puts characters together that were cut between two chunks', async () => {
    const bytes = new TextEncoder().encode('data: höflich\n\n');
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    expect(await Array.fromAsync(readSse(body))).toEqual([{ kind: 'event', event: 'message', data: 'höflich' }]);
  });

  it('cancels the body when the reader leaves', async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode('data: 1\n\ndata: 2\n\n')),
      cancel: () => void (cancelled = true),
    });
    for await (const item of readSse(body)) {
      expect(item).toMatchObject({ data: '1' });
      break;
    }
    expect(cancelled).toBe(true);
  });
});
