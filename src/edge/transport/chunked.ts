import type { Body } from './body.ts';
import { Malformed, readFields } from './fields.ts';

type State = 'size' | 'extension' | 'size-lf' | 'data' | 'data-cr' | 'data-lf' | 'trailers' | 'over';

/** Bytes of extensions in one body, and of its trailers: both are thrown away. */
const mostExtensions = 16_384;
const mostTrailers = 16_384;
/** More than that many hexadecimal digits is no number that JavaScript can count to. */
const mostDigits = 13;

const cr = 0x0d;
const lf = 0x0a;
const semicolon = 0x3b;

/** Names with values or none (RFC 9112, section 7.1.1), without the blanks that only old readers take. */
const isExtension =
  /^(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)+$/;

/** Reads a chunked body (RFC 9112, section 7.1). */
export function createChunked(): Body {
  let state: State = 'size';
  let left = 0;
  let digits = 0;
  let extensions = 0;
  let extension = '';
  let trailers = '';

  const expect = (byte: number, wanted: number, then: State): void => {
    if (byte !== wanted) throw new Malformed('a chunk does not end where it says');
    state = then;
  };
  const size = (byte: number): void => {
    const value = hexOf(byte);
    if (value >= 0) {
      if (++digits > mostDigits) throw new Malformed('a chunk is too large');
      left = left * 16 + value;
    } else if (digits > 0 && byte === cr) state = 'size-lf';
    else if (digits > 0 && byte === semicolon) begin(byte);
    else throw new Malformed('a chunk has no size');
  };
  const begin = (byte: number): void => {
    extension = String.fromCharCode(byte);
    state = 'extension';
  };
  const extend = (byte: number): void => {
    if (++extensions > mostExtensions) throw new Malformed('its chunks have too many extensions');
    if (byte !== cr) extension += String.fromCharCode(byte);
    else if (isExtension.test(extension)) state = 'size-lf';
    else throw new Malformed('a chunk has an odd extension');
  };
  const trailer = (byte: number): void => {
    trailers += String.fromCharCode(byte);
    if (trailers.length > mostTrailers) throw new Malformed('its trailers are too large');
    if (trailers !== '\r\n' && !trailers.endsWith('\r\n\r\n')) return;
    readFields(trailers.slice(0, -4), 0, () => undefined);
    state = 'over';
  };
  const frame = (byte: number): void => {
    if (state === 'size') size(byte);
    else if (state === 'extension') extend(byte);
    else if (state === 'size-lf') {
      expect(byte, lf, left === 0 ? 'trailers' : 'data');
      digits = 0;
    } else if (state === 'data-cr') expect(byte, cr, 'data-lf');
    else if (state === 'data-lf') expect(byte, lf, 'size');
    else trailer(byte);
  };

  return {
    take(bytes, at, emit) {
      while (at < bytes.length && state !== 'over') {
        if (state !== 'data') {
          frame(bytes[at++] as number);
          continue;
        }
        const from = at;
        at = Math.min(bytes.length, at + left);
        left -= at - from;
        if (left === 0) state = 'data-cr';
        if (!emit(bytes, from, at)) return at;
      }
      return at;
    },
    get isOver() {
      return state === 'over';
    },
    endsWithConnection: false,
    rest: () => (state === 'size' && digits === 0 ? { kind: 'chunked' } : null),
  };
}

function hexOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
