import { describe, expect, it } from 'vitest';
import { eventConverter, lineConverter, mostHeld } from './events.ts';

const hide = (object: Record<string, unknown>) => void delete object.secret;
const sse =
  ': waiting\n\nevent: a\nid: 1\ndata: {"secret":1,\ndata: "text":"ä€😀"}\n\ndata: [DONE]\n\ndata: {"secret":2}\r\n\r\n';
const shown = ': waiting\n\nevent: a\nid: 1\ndata: {"text":"ä€😀"}\n\ndata: [DONE]\n\ndata: {}\r\n\r\n';
const lines = '{"secret":1,"a":"ü"}\n\n{"b":2}\n{"secret":3';

describe('a stream that is changed', () => {
  it('is the same wherever it was cut', () => {
    const bytes = Buffer.from(sse);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const converter = eventConverter(hide);
      const out = converter.push(bytes.subarray(0, cut)) + converter.push(bytes.subarray(cut)) + converter.end();
      expect(out, `cut at ${cut}`).toBe(shown);
    }
  });

  it('is the same byte by byte, with each of the three ends of lines', () => {
    for (const end of ['\n', '\r\n', '\r']) {
      const converter = eventConverter(hide);
      let out = '';
      for (const byte of Buffer.from(
        `data: {"secret":1,"a":2}\ndata:\n\ndata: {"secret":1}\n\n:\n\n`.replaceAll('\n', end),
      )) {
        out += converter.push(Buffer.of(byte));
      }
      expect((out + converter.end()).replaceAll(/\r\n|\r/g, '\n')).toBe('data: {"a":2}\n\ndata: {}\n\n:\n\n');
    }
  });

  it('hands each event on as soon as it is whole', () => {
    const converter = eventConverter(hide);
    expect(converter.push(Buffer.from('data: {"secret":1}\n'))).toBe('');
    expect(converter.push(Buffer.from('\ndata: {'))).toBe('data: {}\n\n');
  });

  it('may be one object on each line; what was cut off is left as it is', () => {
    const converter = lineConverter(hide);
    expect(converter.push(Buffer.from(lines))).toBe('{"a":"ü"}\n\n{"b":2}\n');
    expect(converter.end()).toBe('{"secret":3');
  });

  it('is broken off when an event does not end', () => {
    const converter = eventConverter(hide);
    const chunk = Buffer.from('x'.repeat(mostHeld / 4));
    for (let i = 0; i < 4; i++) converter.push(chunk);
    expect(() => converter.push(chunk)).toThrow('too large');
  });
});
