import type { Exchange } from './exchange.ts';

/**
 * The chunks of an answer whose length is not known, framed here instead of by Node, which makes four writes of one: for a
 * stream of events that is a third of what each costs.
 */
export interface Frames {
  /** What goes to the answer's `write` for these bytes. */
  of(bytes: Buffer): Buffer;
  /** What ends it. */
  readonly last: string;
}

const framed: Frames = {
  of(bytes) {
    const size = `${bytes.byteLength.toString(16)}\r\n`;
    const frame = Buffer.allocUnsafe(size.length + bytes.byteLength + 2);
    frame.write(size, 'latin1');
    bytes.copy(frame, size.length);
    frame.write('\r\n', size.length + bytes.byteLength, 'latin1');
    return frame;
  },
  last: '0\r\n\r\n',
};

const plain: Frames = { of: (bytes) => bytes, last: '' };

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

export const framesOf = ({ framed: isFramed }: Pick<Exchange, 'framed'>): Frames => (isFramed ? framed : plain);
