import { readHead } from './answer-head.ts';
import type { ReadHead } from './answer-head.ts';
import { Malformed } from './fields.ts';

/** Reads the head of an answer, cut anywhere, and passes over interim ones (1xx). */
export interface HeadReader {
  /** The next answer is to a request of this method. */
  expect(method: string): void;
  /** Reads from `at` on, and returns how far. `found` is the head, once it is whole. Throws Malformed. */
  take(bytes: Buffer, at: number): number;
  readonly found: ReadHead | null;
}

/** Bytes of a head. The usual limit of servers for requests is 8 to 64 KiB. */
export const mostHead = 65_536;
/** Interim answers before the one that counts. */
const mostInterim = 32;
const emptyLine = Buffer.from('\r\n\r\n');

export function createHeadReader(): HeadReader {
  let method = 'GET';
  let interim = 0;
  let found: ReadHead | null = null;
  /** Of a head that is not whole yet. */
  let begun: Buffer | null = null;

  const judge = (read: ReadHead): void => {
    if (read.status === 101) throw new Malformed('it changes the protocol, which nobody asked for');
    if (read.status >= 200) found = read;
    else if (++interim > mostInterim) throw new Malformed('it says 1xx without end');
  };
  return {
    expect(next) {
      method = next;
      interim = 0;
      found = null;
    },
    take(bytes, at) {
      const before = begun?.byteLength ?? 0;
      const text: Buffer = begun ? Buffer.concat([begun, bytes.subarray(at)]) : bytes;
      const from = begun ? 0 : at;
      // The empty line may have been cut too.
      const end = text.indexOf(emptyLine, from + Math.max(0, before - 3));
      if ((end < 0 ? text.byteLength : end) - from > mostHead) throw new Malformed('its head is too large');
      if (end < 0) {
        begun = Buffer.from(text.subarray(from));
        return bytes.byteLength;
      }
      begun = null;
      judge(readHead(text.toString('latin1', from, end), method));
      return at + end + 4 - from - before;
    },
    get found() {
      return found;
    },
  };
}
