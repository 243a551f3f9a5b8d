import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createJsonEnd, createTextGate } from './text.ts';

/** Everything a gate lets through of a text that arrives in pieces. */
function through(pieces: readonly string[], stops: readonly string[]): { text: string; stopped: boolean } {
  const gate = createTextGate(stops);
  let text = '';
  for (const piece of pieces) {
    const step = gate.push(piece);
    text += step.text;
    if (step.stopped) return { text, stopped: true };
  }
  return { text: text + gate.flush(), stopped: false };
}

describe('text gate', () => {
  it('holds back what may become a stop string, and lets it go when it does not', () => {
    const gate = createTextGate(['END']);
    expect(gate.push('one E')).toEqual({ text: 'one ', stopped: false });
    expect(gate.push('N')).toEqual({ text: '', stopped: false });
    expect(gate.push('X')).toEqual({ text: 'ENX', stopped: false });
  });

  it('says which stop string it was: the one that begins first', () => {
    expect(createTextGate(['c', 'bc', 'x']).push('abc')).toEqual({ text: 'a', stopped: true, by: 'bc' });
  });

  it('keeps the stop string itself and what follows out of the text', () => {
    expect(through(['a EN', 'D b'], ['END'])).toEqual({ text: 'a ', stopped: true });
  });

  it('gives back what it holds when the answer ends', () => {
    expect(through(['half an EN'], ['END'])).toEqual({ text: 'half an EN', stopped: false });
  });

  it('cuts at the first stop string however the text is split', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 30 });
    const stop = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 6 }), fc.array(stop, { maxLength: 4 }), (pieces, stops) => {
        const whole = pieces.join('');
        const found = stops.map((wanted) => whole.indexOf(wanted)).filter((at) => at >= 0);
        const { text, stopped } = through(pieces, stops);
        expect(stopped).toBe(found.length > 0);
        // Split text is cut no later than whole text is: a longer stop may complete after a shorter one was met.
        if (stopped) expect(whole.startsWith(text)).toBe(true);
        else expect(text).toBe(whole);
        for (const wanted of stops) expect(text.includes(wanted)).toBe(false);
      }),
    );
  });
});

describe('end of JSON', () => {
  it('finds the closing brace across pieces, past braces in strings and escapes', () => {
    const end = createJsonEnd();
    expect(end('{"a": "}\\"}", "b": [')).toBeUndefined();
    expect(end('{}]')).toBeUndefined();
    expect(end(' }\n\n')).toBe(2);
  });

  it('ends any JSON object exactly where it ends', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(), (value, cut) => {
        const json = JSON.stringify(value);
        const at = cut % json.length;
        const end = createJsonEnd();
        expect(end(json.slice(0, at))).toBeUndefined();
        expect(end(`${json.slice(at)}\n\nmore`)).toBe(json.length - at);
      }),
    );
  });
});
