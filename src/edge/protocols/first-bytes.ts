/** What a client speaks, by the first bytes it sends. */
export type Protocol = 'tls' | 'http2' | 'http1';

/** How every client of HTTP/2 begins that knows beforehand what the server speaks (RFC 9113, section 3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** The record type of a TLS handshake, which no method of HTTP begins with. */
const handshake = 0x16;

/** Null while the bytes leave it open: only a beginning of the preface does. */
export function protocolOf(bytes: Buffer): Protocol | null {
  if (bytes[0] === handshake) return 'tls';
  const length = Math.min(bytes.byteLength, preface.byteLength);
  if (bytes.compare(preface, 0, length, 0, length) !== 0) return 'http1';
  return length === preface.byteLength ? 'http2' : null;
}
