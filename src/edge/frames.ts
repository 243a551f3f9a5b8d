import type { Exchange } from './exchange.ts';

/*
 * The chunks of an answer whose length is not known (RFC 9112, section 7.1), framed here instead of by Node, which makes four
 * writes of one: for a stream of events that is a third of what each costs.
 */

/** One chunk of all the pieces, and what else is to leave with it. */
export function chunkOf(pieces: readonly Buffer[], then = ''): Buffer {
  const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const size = digitsOf(bytes);
  const chunk = Buffer.allocUnsafe(size + 2 + bytes + 2 + then.length);
  let at = size;
  for (let rest = bytes; at > 0; rest >>>= 4) chunk[--at] = hex[rest & 15] as number;
  at = endLine(chunk, size);
  for (const piece of pieces) at += piece.copy(chunk, at);
  at = endLine(chunk, at);
  if (then) chunk.write(then, at, 'latin1');
  return chunk;
}

/** What ends the answer. */
export const lastChunk = '0\r\n\r\n';

const hex = Buffer.from('0123456789abcdef');

/** Hexadecimal ones. */
function digitsOf(bytes: number): number {
  let digits = 1;
  for (let rest = bytes >>> 4; rest > 0; rest >>>= 4) digits++;
  return digits;
}

function endLine(chunk: Buffer, at: number): number {
  chunk[at] = 0x0d;
  chunk[at + 1] = 0x0a;
  return at + 2;
}

/**
 * Whether an answer of unknown length may be framed here: HTTP/1.0 knows no chunks, HTTP/2 has frames of its own, and what a
 * route changes on its way is not yet what goes out.
 */
export const canFrame = ({ req, method, rewritten }: Exchange): boolean =>
  req.httpVersion === '1.1' && method !== 'HEAD' && !rewritten;

/** To be called once the head is written that says `transfer-encoding: chunked`: from then on Node adds nothing. */
export function takeFraming(exchange: Exchange): void {
  exchange.res.chunkedEncoding = false;
  exchange.framed = true;
}
