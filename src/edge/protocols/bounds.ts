import type { IncomingMessage } from 'node:http';
import { Fault } from '#kernel/faults';

export interface RequestLimits {
  /** Bytes of all headers together. */
  readonly headers: number;
  readonly headerCount: number;
  /** Bytes of an address. */
  readonly url: number;
}

/**
 * Puts a request that names its server in its address (RFC 9112, section 3.2.2) into the form that every handler knows. The
 * Host header means nothing then, and what goes on has the one that was used.
 */
export function plainTarget(req: IncomingMessage): void {
  const match = /^https?:\/\/([^/?#@]+)(?![^/?#])(.*)$/i.exec(req.url ?? '');
  if (!match?.[1] || req.httpVersionMajor !== 1) return;
  const rest = match[2] ?? '';
  req.url = rest.startsWith('/') ? rest : `/${rest}`;
  req.headers.host = match[1];
}

/** What an address is made of; a fragment never leaves a client. */
const strangeInAddress = /[^\x21\x22\x24-\x7e\x80-\xff]/;

/**
 * Throws for a request that is larger than allowed, or that the next server could read otherwise than this one: Node's
 * parser looks after its framing (RFC 9112, section 11.2), and what it lets pass is told here.
 */
export function demandSound(req: IncomingMessage, limits: RequestLimits): void {
  const url = req.url ?? '';
  if (url.length > limits.url) {
    throw new Fault(
      'ADDRESS_TOO_LONG',
      `The address has more than the ${limits.url} bytes that are allowed (limits.url).`,
    );
  }
  if (strangeInAddress.test(url)) throw new Fault('BAD_REQUEST', 'The address has characters that none may have.');
  const { rawHeaders } = req;
  if (rawHeaders.length / 2 > limits.headerCount || bytesOf(rawHeaders) > limits.headers) {
    throw new Fault(
      'HEADERS_TOO_LARGE',
      `The headers are more than ${limits.headerCount} (limits.headerCount) or ${limits.headers} bytes (limits.headers).`,
    );
  }
  if (req.httpVersionMajor === 1) demandFraming(req);
}

function bytesOf(rawHeaders: readonly string[]): number {
  let bytes = 0;
  for (const text of rawHeaders) bytes += text.length;
  return bytes;
}

function demandFraming({ headers, rawHeaders, httpVersionMinor }: IncomingMessage): void {
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts++;
  }
  // Node takes the first; the next server may take the last.
  if (hosts > 1) throw new Fault('BAD_REQUEST', 'The request has more than one Host header.');
  const coding = headers['transfer-encoding'];
  if (coding === undefined) return;
  if (httpVersionMinor === 0) throw new Fault('BAD_REQUEST', 'HTTP/1.0 has no transfer-encoding.');
  // The parser undoes chunks only: another coding would go on without its name.
  if (coding.trim().toLowerCase() !== 'chunked') {
    throw new Fault('NOT_SUPPORTED', `The transfer-encoding ${coding} is not known here: chunked alone is.`);
  }
}
