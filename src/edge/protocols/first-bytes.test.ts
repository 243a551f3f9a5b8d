import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { protocolOf } from './first-bytes.ts';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

describe('what a client speaks', () => {
  it.each([
    ['GET / HTTP/1.1\r\n', 'http1'],
    ['POST / HTTP/1.1\r\n', 'http1'],
    ['PROPFIND / HTTP/1.1\r\n', 'http1'],
    ['PRI * HTTP/1.1\r\n', 'http1'],
    ['\r\n', 'http1'],
    ['\x16\x03\x01', 'tls'],
    [preface, 'http2'],
    [`${preface}\0\0\0\x04\0\0\0\0\0`, 'http2'],
    ['PRI * HTTP/2.0\r\n\r\n', null],
    ['P', null],
    ['', null],
  ])('%j is %s', (text, protocol) => {
    expect(protocolOf(Buffer.from(text, 'latin1'))).toBe(protocol);
  });

  it('does not change its mind when more comes', () => {
    const beginning = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(Buffer.from(preface)));
    fc.assert(
      fc.property(beginning, fc.uint8Array({ maxLength: 10 }), fc.nat(40), (bytes, more, cut) => {
        const first = protocolOf(Buffer.from(bytes.subarray(0, cut)));
        if (first !== null) expect(protocolOf(Buffer.concat([bytes, more]))).toBe(first);
      }),
    );
  });
});
