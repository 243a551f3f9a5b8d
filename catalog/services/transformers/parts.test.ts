import { describe, expect, it } from 'vitest';
import { partsOf } from './parts.ts';

/** ir_version 8, a producer's name, and a graph of 300 bytes. */
const network = Buffer.concat([Buffer.from([0x08, 8, 0x12, 2, 0x78, 0x79, 0x3a, 0xac, 0x02]), Buffer.alloc(300, 0x7b)]);
const tokenizer = Buffer.from('{"model": {"type": "WordPiece"}}');

describe('a network and its tokenizer in one file', () => {
  it('are told apart, also where the network holds what JSON begins with', () => {
    const parts = partsOf(Buffer.concat([network, tokenizer]));
    expect(parts.network.equals(network)).toBe(true);
    expect(parts.tokenizer).toEqual({ model: { type: 'WordPiece' } });
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'does not begin with an ONNX model'],
    ['a tokenizer alone', tokenizer, 'does not begin with an ONNX model'],
    ['another format', Buffer.from('GGUF and more'), 'does not begin with an ONNX model'],
    ['a network alone', network, 'no tokenizer.json stands behind'],
    ['a network that was cut', network.subarray(0, 100), 'does not begin with an ONNX model'],
    [
      'a tokenizer that was cut',
      Buffer.concat([network, tokenizer.subarray(0, 9)]),
      'from byte 309 on, is no tokenizer',
    ],
  ])('%s is refused with what is wrong', (_, file, why) => {
    expect(() => partsOf(file)).toThrow(why);
  });
});
