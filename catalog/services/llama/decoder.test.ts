import { expect, it } from 'vitest';
import { createDecoder } from './decoder.ts';

/** Each token is a byte. */
function byteModel() {
  let calls = 0;
  return {
    calls: () => calls,
    detokenize(tokens: readonly number[]): string {
      calls++;
      return Buffer.from(tokens).toString('utf8');
    },
  };
}

it('holds the bytes of a character until it is whole, and asks once for each token', () => {
  const model = byteModel();
  const decoder = createDecoder(model, [1, 2]);
  expect([...Buffer.from('a€b')].map((byte) => decoder.push(byte))).toEqual(['a', '', '', '€', 'b']);
  expect(model.calls()).toBe(5);
  expect(decoder.flush()).toBe('');
});

it('lets a broken character through', () => {
  const decoder = createDecoder(byteModel(), []);
  expect([0xf0, 0xf0, 0xf0, 0xf0].map((byte) => decoder.push(byte)).at(-1)).toBe('\uFFFD'.repeat(4));
  decoder.push(0xf0);
  expect(decoder.flush()).toBe('\uFFFD');
});
